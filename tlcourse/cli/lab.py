"""`tlcourse lab`: the learner's notebooks, in a JupyterLab of their own.

The server listens on 127.0.0.1 only, requires a token, and makes no requests to the web: no news, no
update check, no extension store. The learner's own configuration may have switched tokens off, so
before the address is printed we check that the server refuses requests without one.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO

import click

from tlcourse.course import TIERS, lessons
from tlcourse.course.folder import DEFAULT, prepare
from tlcourse.course.tiers import VARIABLE, checked, obstacle
from tlcourse.errors import CourseError, TierError
from tlcourse.spoken import command as spoken

FIRST_PORT = 8888
PRIVATE = ("api/contents", "api/kernels", "api/terminals")  # files, code, a shell
SETTINGS = (
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--ServerApp.open_browser=False",
    "--ServerApp.base_url=/",
    "--ServerApp.certfile=",
    "--Application.log_level=WARN",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--KernelManager.transport_encryption=auto",  # otherwise every kernel warns that it has none
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=DEFAULT)
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Default: the first free from {FIRST_PORT}."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--tier", type=click.Choice(TIERS), help="Run every lesson in this tier.")
@click.argument("jupyter_arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    folder: Path,
    port: int | None,
    no_browser: bool,
    tier: str | None,
    jupyter_arguments: tuple[str, ...],
) -> int:
    """Open the course in JupyterLab, in FOLDER (default: tlcourse-lessons).

    Missing lessons are copied there; yours are never overwritten. What follows `--` goes to
    JupyterLab.
    """
    if tier and (in_the_way := obstacle(tier, [])):
        raise TierError(f"--tier {tier} cannot run: {in_the_way}.")
    if not tier:
        checked(os.environ.get(VARIABLE, ""))
    port = free_port() if port is None else wanted_port(port)
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file, not a folder: name another one.")
    for path in prepare(folder):
        click.echo(f"New: {path}")
    token = secrets.token_hex(16)
    with serving(folder, port, environment(token, tier), jupyter_arguments) as server:
        wait_until_up(server, port)
        check_locked(port, token)
        address = f"http://127.0.0.1:{port}/lab{start_page(folder)}?token={token}"
        click.echo(
            f"\n    The course is open at\n\n        {address}\n\n    Ctrl-C here closes it.\n"
        )
        if not no_browser and not open_browser(address):
            click.echo("    No browser found here: open that address in one yourself.\n")
        server.wait()
    if server.returncode > 0:
        raise CourseError(f"JupyterLab ended with code {server.returncode}; see its lines above.")
    return 0


def environment(token: str, tier: str | None) -> dict[str, str]:
    """The environment of the server and its kernels. The token is here, not on the command line, where
    `ps` would show it."""
    from tlcourse.ui import lab_environment

    ours = {"JUPYTER_TOKEN": token, "JUPYTER_PREFER_ENV_PATH": "1"} | lab_environment()
    return os.environ | ours | ({VARIABLE: tier} if tier else {})


def start_page(folder: Path) -> str:
    """The first lesson, if there is one."""
    present = [one.notebook for one in lessons() if (folder / one.notebook).exists()]
    return f"/tree/{present[0]}" if present else ""


def free_port(first: int = FIRST_PORT, tries: int = 100) -> int:
    for port in range(first, first + tries):
        if is_free(port):
            return port
    raise CourseError(f"No free port from {first} to {first + tries - 1}: name one with --port.")


def wanted_port(port: int) -> int:
    if not is_free(port):
        raise CourseError(
            f"Port {port} is in use. Name another, or leave --port out for the next free one."
        )
    return port


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name != "nt":  # as the server does: a port just closed counts as free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def serving(
    folder: Path, port: int, environ: dict[str, str], extra: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen]:
    """A JupyterLab in the folder; Ctrl-C, a closed terminal or an error ends it and its kernels."""
    where = [f"--ServerApp.root_dir={folder.resolve()}", f"--ServerApp.port={port}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container: Jupyter would refuse
        where.append("--ServerApp.allow_root=True")
    command = [sys.executable, "-m", "jupyterlab", *SETTINGS, *where, *extra]
    # A group of its own: on Ctrl-C JupyterLab would ask back on the terminal instead of ending.
    apart = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        if os.name == "nt"
        else {"start_new_session": True}
    )
    before = {number: signal.signal(number, _interrupt) for number in _endings()}
    server = subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **apart
    )
    threading.Thread(target=_pass_on, args=(server.stderr,), daemon=True).start()
    try:
        yield server
    except KeyboardInterrupt:
        click.echo("\nClosing …")
        _end(server)
        click.echo(f"Closed. Your notebooks are in {folder}.")
    finally:
        _end(server)
        for number, handler in before.items():
            signal.signal(number, handler)


def _pass_on(lines: IO[bytes]) -> None:
    """What the server says, without its warnings of our own requests in `check_locked`."""
    ours = [f"403 GET /{path} ".encode() for path in PRIVATE] + [b"wrote error: 'Forbidden'"] * len(
        PRIVATE
    )
    for line in lines:
        if mine := next((one for one in ours if one in line), None):
            ours.remove(mine)
            continue
        with suppress(OSError):  # the terminal was closed; go on reading, or the server would wait
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


def _endings() -> list[int]:
    names = ("SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _end(server: subprocess.Popen, patience_s: float = 15) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(patience_s)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until_up(server: subprocess.Popen, port: int, patience_s: float = 90) -> None:
    """Return when the server answers. Raises CourseError if it ends or stays silent."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if (code := server.poll()) is not None:
            raise CourseError(f"JupyterLab did not start (code {code}); its lines above say why.")
        try:
            direct.open(f"http://127.0.0.1:{port}/api", timeout=2).close()
            return
        except urllib.error.HTTPError:  # also an answer
            return
        except OSError:
            time.sleep(0.1)
    raise CourseError(
        f"JupyterLab did not answer within {patience_s:.0f} s. "
        f"Try again, or ask `{spoken('doctor')}`."
    )


def check_locked(port: int, token: str) -> None:
    """Raise CourseError if the server accepts requests without the token, or refuses them with it."""
    advice = (
        "The server was stopped. Look for token, password and identity_provider_class in the files of "
        "the folders that `jupyter --paths` lists under config, or set JUPYTER_CONFIG_DIR to an empty "
        "folder."
    )
    for path in PRIVATE:
        # A server without terminals answers 404 to everybody.
        if not 300 <= (status := _status(port, path)) < 500:
            raise CourseError(
                f"Your Jupyter configuration accepts requests without a token ({path} answered "
                f"{status}). {advice}"
            )
    if (status := _status(port, PRIVATE[0], token)) != 200:
        raise CourseError(
            "Your Jupyter configuration does not accept the token that tlcourse made for this server "
            f"({PRIVATE[0]} answered {status}). {advice}"
        )


def _status(port: int, path: str, token: str | None = None) -> int:
    """The HTTP status of one request, without a proxy and without following a redirect."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {} if token is None else {"Authorization": f"token {token}"}
        connection.request("GET", f"/{path}", headers=headers)
        return connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise CourseError(f"JupyterLab stopped answering while it started: {error}.") from None
    finally:
        connection.close()


def open_browser(address: str) -> bool:
    """Open the learner's browser; False where there is none."""
    import webbrowser

    return can_show() and webbrowser.open(address)


def can_show() -> bool:
    """Whether a browser with windows can open here; not on a server, nor in a container."""
    import webbrowser

    windows = sys.platform in ("darwin", "win32")
    if not windows and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
