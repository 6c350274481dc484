"""Doctor: whatever can fail is made to fail, for real, and its cure is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.installed import by_id, module
from tlcourse.cli import doctor, lab, main
from tlcourse.cli.checks import machine
from tlcourse.memory import memory_free

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs scripts that can be run")


def test_too_little_memory_is_said():
    assert machine.memory(enough=1).status == "ok"
    found = machine.memory(enough=10**15)
    assert found.status == "warning" and "1000000.0 GB" in found.cure


def test_a_containers_limit_is_what_counts(tmp_path):
    """Three files as a kernel writes them for a control group."""
    whole = memory_free(tmp_path / "none")
    (tmp_path / "memory.max").write_text("300000000\n")
    (tmp_path / "memory.current").write_text("250000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 20000000\n")
    assert memory_free(tmp_path) == 70_000_000 < whole
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_free(tmp_path) > 70_000_000


def test_a_disk_with_too_little_room_is_said(tmp_path):
    assert machine.room("disk", "disk", tmp_path / "new" / "home", 1, "x").status == "ok"
    assert not (tmp_path / "new").exists() and list(tmp_path.iterdir()) == []
    found = machine.room("disk", "disk", tmp_path, 10**18, "set TLCOURSE_HOME")
    assert found.status == "warning" and "make room, or set TLCOURSE_HOME" in found.cure


@pytest.fixture
def read_only():
    """A folder in which this process may not write, though it may be root."""
    import tempfile

    list(machine.places())  # what it imports, root may have for itself
    folder = Path(tempfile.mkdtemp(prefix="tlcourse-read-only-"))
    folder.chmod(0o555)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    folder.rmdir()


@POSIX
def test_a_folder_that_cannot_be_written_to_is_said(read_only, monkeypatch, tmp_path_factory):
    found = machine.room("disk", "disk", read_only / "home", 1, "set TLCOURSE_HOME")
    assert found.status == "warning" and f"{read_only} cannot be written to" in found.cure
    assert machine.room("notebooks", "notebooks", read_only, 1, "x", blocks=True).blocks
    monkeypatch.chdir(read_only)
    monkeypatch.setenv("TLCOURSE_HOME", str(read_only))
    found = by_id(machine.places())
    assert found["notebooks"].blocks and "lab FOLDER" in found["notebooks"].cure
    assert found["disk"].status == "warning"


def test_a_file_where_a_folder_should_be_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    found = machine.room("disk", "disk", tmp_path / "file" / "home", 1, "y")
    assert "is not a folder" in found.cure


def in_namespace(flags: str, script: str, **environ: str) -> subprocess.CompletedProcess:
    """Run a script as root of a namespace of its own, in which disks and networks can be taken away."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    if subprocess.run(["unshare", flags, "true"], capture_output=True).returncode:
        pytest.skip("namespaces are not allowed here")
    command = ["unshare", flags, "sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environ)


ASK = "from tlcourse.cli.checks import machine; one = {}; print(one.status, one.seen, one.cure)"


def test_a_full_disk_is_said(tmp_path):
    ask = ASK.format(
        f"machine.room('disk', 'disk', machine.Path({str(tmp_path)!r}), 1, 'z', blocks=True)"
    )
    script = (
        f"mount -t tmpfs -o size=64k tmpfs {tmp_path} && head -c 65536 /dev/zero >{tmp_path}/a;"
        f'{sys.executable} -c "{ask}"'
    )
    done = in_namespace("-rm", script)
    if "mount:" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.stdout.startswith("blocks 0.0 GB free"), done.stderr
    assert "cannot be written to (No space left on device)" in done.stdout


def test_a_port_that_is_taken_is_passed_over_and_none_at_all_is_said(monkeypatch):
    first = 21000  # where no other test and no system listens: those of 8888 come and go
    monkeypatch.setattr(lab, "FIRST_PORT", first)
    with ExitStack() as held:
        for port in range(first, first + 100):
            taken = held.enter_context(socket.socket())
            taken.bind(("127.0.0.1", port))
            taken.listen()
            if port == first:
                found = machine.port()
                assert found.status == "ok" and found.seen.endswith(str(first + 1))
        found = machine.port()
        assert found.blocks and "name one with --port" in found.cure


def test_a_mirror_that_is_not_there_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_MIRROR", str(tmp_path / "gone"))
    assert f"no folder {tmp_path / 'gone'}" in machine.mirror().cure
    monkeypatch.delenv("TLCOURSE_MIRROR")
    assert machine.mirror().status == "ok" and "are fetched from the web" in machine.mirror().seen
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    assert "the web is switched off" in machine.mirror().seen


@POSIX
def test_a_machine_without_windows_is_told_what_to_do(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform != "darwin":
        assert "copy the address" in machine.browser().cure
    monkeypatch.setenv("BROWSER", "true")
    assert machine.browser().status == "ok"


def test_json_is_for_programs_and_so_is_the_exit_code(site, capsys):
    module(site, "torch", "raise ImportError('broken')")
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 1 and told["tlcourse"]
    assert {tuple(row) for row in told["findings"]} == {("id", "what", "status", "seen", "cure")}
    blocking = [row["id"] for row in told["findings"] if row["status"] == "blocks"]
    assert blocking[0] == "torch-import"
    for row in told["findings"]:
        assert row["status"] in ("ok", "warning", "blocks")
        assert (row["cure"] is None) == (row["status"] == "ok")
        documented = re.sub(r"^(package|tier)-.*", r"\1-NAME", row["id"])
        assert documented in doctor.__doc__
    assert len({row["id"] for row in told["findings"]}) == len(told["findings"])


def test_a_setting_that_is_wrong_blocks(site, monkeypatch, capsys):
    module(site, "torch", "raise ImportError('broken')")
    monkeypatch.setenv("TLCOURSE_TIMEOUT", "soon")
    assert main(["doctor"]) == 1
    assert (
        "✗ settings     one of them is invalid: TLCOURSE_TIMEOUT='soon'" in capsys.readouterr().out
    )


def test_a_wrong_option_is_another_code():
    assert main(["doctor", "--nonsense"]) == 2


def test_without_torch_it_takes_little_time(site):
    module(site, "torch", "raise ImportError('broken')")
    script = (
        "import resource, sys; from tlcourse.cli import main; main(['doctor'])\n"
        "both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "print(sum(one.ru_utime + one.ru_stime for one in both), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    seconds, imported = done.stdout.splitlines()[-1].split()
    assert float(seconds) < 10 and imported == "False"


@pytest.mark.slow
def test_this_machine_can_run_the_course(capsys):
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "\n✓ browser" in told or "copy the address that `tlcourse lab` prints" in told
    assert "✓ Python" in told and "✓ ipykernel" in told and "GB free" in told
    assert "✓ torch        works" in told and "✓ tier pocket  can run here" in told
