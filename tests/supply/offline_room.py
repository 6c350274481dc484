"""A learner in a room whose only server is the teacher's. Run with no network but loopback:

    unshare -rn python offline_room.py MIRROR FOLDER CARD…

Serves MIRROR, makes a virtual environment in FOLDER, installs from the mirror what is in it, and
fetches the cards with it; prints JSON. Where namespaces are not to be had, `--blocked` refuses
every socket to elsewhere, in this process and its children.
"""

import errno
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

BLOCK = """
import socket
connect = socket.socket.connect
def local(self, address):
    if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
        raise OSError(101, "Network is unreachable")
    return connect(self, address)
socket.socket.connect = socket.socket.connect_ex = local
resolve = socket.getaddrinfo
def here(host, *rest, **named):
    if host != "localhost" and not str(host).replace(".", "").isdigit():
        raise socket.gaierror(-3, "Temporary failure in name resolution")
    return resolve(host, *rest, **named)
socket.getaddrinfo = here
"""
LIGHT = ("click", "filelock", "platformdirs", "requests", "rich")


def main(mirror: str, folder: str, *cards: str) -> None:
    blocked, cards = "--blocked" in cards, [card for card in cards if card != "--blocked"]
    room = Path(folder)
    room.mkdir()
    plain = ("PIP_", "UV_", "TLCOURSE_", "PYTHON")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(plain)}
    environ |= {"PIP_CONFIG_FILE": os.devnull, "TLCOURSE_HOME": str(room / "home")}
    if blocked:
        (room / "sitecustomize.py").write_text(BLOCK)
        environ["PYTHONPATH"] = str(room)
        exec(BLOCK, {})
    else:
        loopback_up()
    told = {"outside": outside()}

    serve = "from tlcourse.cli import main; main(['mirror', 'serve', {!r}, '--port', '0'])"
    command = [sys.executable, "-u", "-c", serve.format(mirror)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().split(" at ")[1].split()[0]
            python = str(room / "v" / "bin" / "python")

            def run(*command: str, **more: str) -> str:
                done = subprocess.run(
                    command, env=environ | more, capture_output=True, text=True, cwd=room
                )
                assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
                return done.stdout

            run(sys.executable, "-m", "venv", str(room / "v"))
            pip = [python, "-m", "pip", "install", "-q", "--index-url", f"{url}/simple/"]
            run(*pip, "--no-deps", "tlcourse")
            run(*pip, *LIGHT)
            told["freeze"] = run(python, "-m", "pip", "freeze").split()
            program = str(room / "v" / "bin" / "tlcourse")
            told["fetch"] = run(program, "fetch", *cards, TLCOURSE_MIRROR=url)
            told["again"] = run(program, "fetch", *cards, TLCOURSE_OFFLINE="1")
            told["where"] = run(python, "-c", "import tlcourse; print(tlcourse.__file__)").strip()
        finally:
            server.terminate()
    print(json.dumps(told))


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        import fcntl

        fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS, up


def outside() -> str:
    """What happens to whoever asks the web: the name of the error."""
    try:
        with socket.create_connection(("192.0.2.1", 80), timeout=3):
            return "reached"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
