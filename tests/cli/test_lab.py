"""`tlcourse lab` opens a JupyterLab that is the learner's alone, and closes it again."""

import json
import os
import socket
import subprocess
import sys
import urllib.error

import psutil
import pytest
import websocket

from tests.cli.lab_process import Lab, lab
from tlcourse.cli import main
from tlcourse.cli.lab import environment, free_port, is_free
from tlcourse.course import lessons


def test_the_lab_opens_with_a_token_runs_a_kernel_and_closes_on_ctrl_c(tmp_path):
    with lab("mine", "--tier", "pocket", cwd=tmp_path) as running:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            running.ask("api/contents", token="wrong")
        there = {one["name"] for one in running.ask("api/contents")["content"]}
        assert there == {one.notebook for one in lessons()}
        kernel = running.ask("api/kernels", method="POST")
        assert kernel["name"] == "python3"
        code = "import os, sys; print(os.environ['TLCOURSE_TIER'], sys.prefix)"
        assert run_in_kernel(running, kernel, code) == f"pocket {sys.prefix}"
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert len(family) >= 2, "the server and its kernel"
        for one in family:
            assert running.token not in " ".join(one.cmdline()), "where others could read it"
        assert running.interrupt() == 0
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert is_free(running.port)
    told = "".join(running.said)
    assert "Closed. Your notebooks are in mine." in told
    assert "WARNING" not in told and "Traceback" not in told
    assert told.count(" 403 ") == 1, "the stranger's request, and none of our own"


def run_in_kernel(running: Lab, kernel: dict, code: str) -> str:
    """What `code` prints in that kernel, asked for as the browser does: over the server's socket."""
    address = running.root.replace("http", "ws", 1)
    channel = f"{address}api/kernels/{kernel['id']}/channels?token={running.token}"
    header = {"msg_id": "1", "session": "test", "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False}
    wire = websocket.create_connection(channel, timeout=60)
    try:
        wire.send(
            json.dumps(
                {
                    "channel": "shell",
                    "header": {**header, "username": "test", "date": ""},
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                }
            )
        )
        while (answer := json.loads(wire.recv()))["msg_type"] != "stream":
            assert answer["msg_type"] != "error", answer
        return answer["content"]["text"].strip()
    finally:
        wire.close()


OPEN_TO_ALL = """
from jupyter_server.auth.identity import IdentityProvider, User

class Anyone(IdentityProvider):
    def get_user(self, handler):
        return User("anyone")

c.ServerApp.identity_provider_class = Anyone
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("c.IdentityProvider.token = ''", "accepts requests without a token"),
        pytest.param(
            "c.ServerApp.token = ''; c.ServerApp.password = ''",
            "accepts requests without a token",
            marks=pytest.mark.release,
        ),
        pytest.param(OPEN_TO_ALL, "accepts requests without a token", marks=pytest.mark.release),
        ("c.IdentityProvider.token = 'of-my-own'", "does not accept the token"),
    ],
    ids=["no token", "no token, the older way", "an open door of one's own", "another token"],
)
def test_a_configuration_that_opens_the_server_to_all_stops_it(tmp_path, config, says):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_server_config.py").write_text(config)
    environ = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    port = free_port(18888)
    command = [sys.executable, "-m", "tlcourse", "lab", "--no-browser", "--port", str(port)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr
    assert "token=" not in done.stdout, "no address is printed"
    assert is_free(port)


@pytest.mark.release
def test_a_configuration_that_does_no_harm_is_taken(tmp_path):
    (tmp_path / "config").mkdir()
    harmless = {"ServerApp": {"base_url": "/elsewhere/", "certfile": "none.pem"}}
    (tmp_path / "config" / "jupyter_server_config.json").write_text(json.dumps(harmless))
    with lab(
        "mine", cwd=tmp_path, environ={"JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    ) as ours:
        assert ours.ask("api/contents")["content"]


@pytest.fixture
def taken_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_port_in_use_is_refused_when_asked_for_and_skipped_when_not(
    taken_port, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "--no-browser", "--port", str(taken_port)]) == 1
    assert f"Port {taken_port} is in use" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [], "refused before anything was written"
    assert free_port(taken_port) != taken_port


def test_a_folder_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "notes").write_text("mine")
    assert main(["lab", "--no-browser", str(tmp_path / "notes")]) == 1
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_gpu_tier_without_a_gpu_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["lab", "--no-browser", "--tier", "gpu", str(tmp_path / "x")]) == 1
    assert "choose pocket or public" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_chosen_tier_reaches_the_kernels():
    assert environment("t", "pocket")["TLCOURSE_TIER"] == "pocket"
    assert environment("t", None).get("TLCOURSE_TIER") == os.environ.get("TLCOURSE_TIER")
