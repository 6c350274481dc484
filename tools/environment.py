"""The environment that `start.py` runs tlcourse in: created once, then only checked.

Standard library only, for it runs before anything is installed.

look   is the stamp in the environment the hash of what should be in it?   (milliseconds)
make   .venv, unless we are in a virtual environment already
fill   the hashed lock, by uv if there is one, else by pip; then the clone itself, editable
stamp  last of all: an interrupted install has no stamp, so the next start fills again
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Measured on Linux: 6.5 GB installed; unpacking the wheels needs more.
NEEDED_BYTES = 9_000_000_000
PINNED = ("--require-hashes", "--no-deps")


class SetupError(Exception):
    """One sentence for the user: what is missing, and what to do."""


def main(root: str, arguments: list[str]) -> int:
    """Bring the environment up to date, then become `tlcourse ARGUMENTS`."""
    try:
        python = ready(Path(root))
    except SetupError as error:
        print(f"start.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstart.py: stopped; the next start goes on from here.", file=sys.stderr)
        return 130
    command = [str(python), "-m", "tlcourse", *arguments]
    # tlcourse's messages name the command as the user types it; here it is not on the PATH.
    os.environ.setdefault("TLCOURSE_COMMAND", "python start.py")
    if os.name == "nt":  # Windows' exec returns to the shell at once
        return subprocess.call(command)
    os.execv(command[0], command)


def ready(root: Path) -> Path:
    """The environment's Python, with everything installed that the lock and the clone need."""
    folder = Path(sys.prefix) if sys.prefix != sys.base_prefix else root / ".venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "tlcourse-installed"
    wanted = fingerprint(root, folder)
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    try:
        stamp.unlink(missing_ok=True)
        check_space(root)
        if not python.exists():
            print(f"Making a virtual environment in {folder} …", flush=True)
            make(folder)
        fill(root, python)
        stamp.write_text(wanted)
    except PermissionError as error:
        raise SetupError(
            f"cannot write to {error.filename or folder}. Copy the clone to a folder of your own, "
            "or activate a virtual environment of your own first."
        ) from error
    except OSError as error:
        if error.errno == 30:  # EROFS: a read-only file system
            raise SetupError(
                f"{root} is read-only. Copy the clone to a folder of your own."
            ) from error
        if error.errno == 28:  # ENOSPC
            raise SetupError(f"the disk with {root} is full. Make room and start again.") from error
        raise
    return python


def fingerprint(root: Path, folder: Path) -> str:
    """What was installed, and where clone and environment are: a moved clone is installed again."""
    digest = hashlib.sha256(f"{root}\n{folder}\n".encode())
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def check_space(root: Path, needed: int = NEEDED_BYTES) -> None:
    free = shutil.disk_usage(root).free
    if free < needed and not (root / ".venv").exists():
        raise SetupError(
            f"the disk with {root} has {free / 1e9:.1f} GB free, and the libraries need about "
            f"{needed / 1e9:.0f} GB (torch is large). Make room and start again."
        )


def make(folder: Path) -> None:
    """Create a virtual environment, replacing what an interrupted start left."""
    uv = shutil.which("uv")
    if uv:
        ours = [uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable]
        if subprocess.call([*ours, str(folder)]) == 0:
            return
    try:
        import ensurepip  # noqa: F401  Debian ships venv without it, and fails half-way
        import venv
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetupError(
            "this Python has no venv module. On Debian or Ubuntu: sudo apt install "
            f"python{version}-venv. Or install uv, or activate a virtual environment of your own."
        ) from None
    venv.create(folder, clear=True, with_pip=True)


def fill(root: Path, python: Path) -> None:
    """Install the lock and the clone. uv takes a third of pip's time, but pip knows the machine's own
    settings (pip.conf): if uv fails, pip tries again, and the user sees pip's errors."""
    print("Installing what tlcourse needs, a few minutes the first time …", flush=True)
    uv = shutil.which("uv") or _pinned_uv(root, python)
    clone = ["--no-deps", "--no-build-isolation", "--editable", str(root)]
    lock = [*PINNED, "--requirement", str(root / "requirements.lock")]
    if uv:
        # Each step prints a line, because uv with --quiet prints only errors.
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
        if all(subprocess.call([*install, *what]) == 0 for what in (lock, clone)):
            compiled(python)
            return
        print("uv could not install everything; trying with pip …", flush=True)
    for what in (lock, clone):
        _pip(python, what)


def compiled(python: Path) -> None:
    """Compile what was installed, as pip does: a lesson's imports take 9 s compiled and 20 s otherwise
    (measured). Files that cannot be compiled (templates) are skipped."""
    print("Compiling it, about a minute …", flush=True)
    find = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = subprocess.check_output([str(python), "-c", find], text=True).strip()
    command = [str(python), "-m", "compileall", "-qq", "-j", "0", packages]
    subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _pinned_uv(root: Path, python: Path) -> str | None:
    """The uv of the lock, installed first to install the rest; None if it has no wheel."""
    text = (root / "requirements.lock").read_text().replace("\\\n", " ")
    line = next((line for line in text.splitlines() if line.startswith("uv==")), None)
    if line is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder, "uv.lock.txt")
        one.write_text(line + "\n")
        try:
            _pip(python, [*PINNED, "--only-binary", ":all:", "--requirement", str(one)])
        except SetupError as error:
            if "network" in str(error):
                raise
            return None
    found = python.parent / ("uv.exe" if os.name == "nt" else "uv")
    return str(found) if found.exists() else None


def _pip(python: Path, what: list[str]) -> None:
    """`pip install`, quietly; an error becomes one sentence."""
    if subprocess.call([str(python), "-c", "import pip"], stderr=subprocess.DEVNULL):
        subprocess.call([str(python), "-m", "ensurepip"], stdout=subprocess.DEVNULL)
    options = ["--quiet", "--disable-pip-version-check", "--retries", "2"]
    command = [str(python), "-m", "pip", "install", *options]
    pip = subprocess.Popen([*command, *what], stderr=subprocess.PIPE, text=True, errors="replace")
    output = []
    for line in pip.stderr:
        sys.stderr.write(line)
        output.append(line)
    if pip.wait():
        raise SetupError(_reason("".join(output)))


def _reason(output: str) -> str:
    """What pip's error means for the user."""
    if "No space left" in output:
        return "the disk is full. Make room and start again."
    signs = (
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeout",
        "ReadTimeout",
        "ProxyError",
    )
    if any(sign in output for sign in (*signs, "Temporary failure", "Connection aborted")):
        return (
            "no network: the package index cannot be reached. "
            "Connect (or set PIP_PROXY or PIP_INDEX_URL) and start again."
        )
    if "HASHES" in output:
        return (
            "a package is not the one that the lock promises, and was not installed. "
            "Start again, and report it if it stays so."
        )
    if "No matching distribution" in output:
        return (
            "the package index lacks a pinned package for this Python and platform "
            f"({sys.version.split()[0]}, {sys.platform}); see pip's lines above."
        )
    return "pip could not install the libraries; its lines above say why. Start again to try once more."
