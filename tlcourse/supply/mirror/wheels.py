"""Collecting the wheels that `pip install tlcourse` needs, for any Python and platform.

Each wheel names its requirements, beginning with tlcourse's own; the lock names their versions and
hashes; pip, as it is set up here, downloads them. So a mirror holds only wheels that the lock names.

Why pip does not resolve the requirements: `pip download --platform … --python-version …` chooses
files for another machine, but evaluates markers (`sys_platform == "win32"`, `python_version <
"3.12"`) for the machine it runs on. A mirror built on Linux for Windows would lack colorama and
contain CUDA. The lock alone is no answer either: it includes the tests' and the docs' packages.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from importlib.util import find_spec
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

import tlcourse
from tlcourse.errors import SupplyError
from tlcourse.supply.mirror.index import WHEELS, Row
from tlcourse.supply.store import hash_file

ROOT = Path(tlcourse.__file__).parents[1]
LOCK = ROOT / "requirements.lock"  # in a clone
OF_INSTALLERS = (
    "RECORD",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "uv_cache.json",
    "uv_build.json",
)
BUILD = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"

# Platform tags that pip and uv accept there. glibc 2.28 is that of RHEL 8, older than Ubuntu 20.04's.
TAGS = {
    "linux": [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]
    + ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"],
    "macos": [
        f"macosx_{major}_0_{machine}"
        for major in (14, 13, 12, 11)
        for machine in ("arm64", "universal2")
    ]
    + [f"macosx_10_{minor}_universal2" for minor in range(16, 8, -1)],
    "windows": ["win_amd64"],
}
MARKERS = {
    "linux": ("linux", "Linux", "x86_64", "posix"),
    "macos": ("darwin", "Darwin", "arm64", "posix"),
    "windows": ("win32", "Windows", "AMD64", "nt"),
}
PLATFORMS = tuple(TAGS)


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to install on: python "3.12", platform one of PLATFORMS; None means as here."""

    python: str | None = None
    platform: str | None = None

    @property
    def version(self) -> str:
        return self.python or "{}.{}".format(*sys.version_info[:2])

    @property
    def title(self) -> str:
        return f"Python {self.version}, {self.platform or 'this platform'}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which requirements' markers are evaluated."""
        values = dict(default_environment())
        if self.python:
            values |= {"python_version": self.python, "python_full_version": f"{self.python}.0"}
        if self.platform:
            keys = ("sys_platform", "platform_system", "platform_machine", "os_name")
            values |= dict(zip(keys, MARKERS[self.platform], strict=True))
            values |= {"platform_release": "", "platform_version": ""}
        return values

    def tags(self) -> list[Tag]:
        """The tags of wheels that can be installed there."""
        if self.python is None and self.platform is None:
            return list(sys_tags())
        version = tuple(map(int, self.version.split(".")))
        platforms = TAGS[self.platform or _ours()]
        interpreter = "cp{}{}".format(*version)
        return [
            *cpython_tags(version, platforms=platforms),
            *compatible_tags(version, interpreter, platforms),
        ]

    def pip_options(self) -> list[str]:
        """The options of `pip download` for it."""
        if self.python is None and self.platform is None:
            return []
        options = ["--python-version", self.version, "--implementation", "cp"]
        for abi in ("cp" + self.version.replace(".", ""), "abi3", "none"):
            options += ["--abi", abi]
        for platform in TAGS[self.platform or _ours()]:
            options += ["--platform", platform]
        return options


def _ours() -> str:
    """The platform here, as one of PLATFORMS."""
    for name, (sys_platform, _, machine, _) in MARKERS.items():
        if default_environment()["sys_platform"] == sys_platform:
            if default_environment()["platform_machine"] == machine:
                return name
    raise SupplyError(f"Name the --platform with --python: {', '.join(PLATFORMS)}.")


@dataclass(frozen=True, slots=True)
class Pin:
    """A version of a package where its marker holds. No hashes: unknown."""

    requirement: Requirement
    hashes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version


def read_lock(text: str) -> dict[str, list[Pin]]:
    """A lock's pins by canonical name."""
    pins: dict[str, list[Pin]] = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line.split(" --hash")[0])
            hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
            pins.setdefault(canonicalize_name(requirement.name), []).append(
                Pin(requirement, hashes)
            )
    return pins


def installed() -> dict[str, list[Pin]]:
    """The installed versions, used where there is no lock (outside a clone)."""
    return {
        canonicalize_name(one.metadata["Name"]): [
            Pin(Requirement(f"{one.metadata['Name']}=={one.version}"))
        ]
        for one in importlib.metadata.distributions()
    }


def collect(
    folder: Path,
    targets: Sequence[Target],
    tell: Callable[[str], None],
    *,
    roots: Sequence[str] | None = None,
    pins: dict[str, list[Pin]] | None = None,
) -> list[Row]:
    """Put every wheel that these machines need into `folder`/wheels. Returns their rows.

    roots: requirements to begin with, instead of those of tlcourse's wheel. Wheels that are present
    and right are not fetched again. Raises SupplyError with pip's message.
    """
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    if pins is None:
        pins = read_lock(LOCK.read_text("utf-8")) if LOCK.is_file() else installed()
    own = own_wheel(wheels)
    tell(own.name)
    wanted = {own}
    for target in targets:
        wanted |= _closure(wheels, own, target, pins, tell, roots)
    return [row_of(folder, wheel) for wheel in sorted(wanted)]


def row_of(folder: Path, wheel: Path) -> Row:
    path = wheel.relative_to(folder).as_posix()
    return Row(WHEELS, path, wheel.stat().st_size, hash_file(wheel))


def _closure(
    wheels: Path,
    own: Path,
    target: Target,
    pins: dict[str, list[Pin]],
    tell: Callable[[str], None],
    roots: Sequence[str] | None,
) -> set[Path]:
    """Round by round: find or fetch what is required, then read what that requires."""
    have: dict[str, Path] = {canonicalize_name("tlcourse"): own}
    followed: dict[str, set[str]] = {}  # extras by name
    wanted = [Requirement(text) for text in roots] if roots else _requires(own, set(), target)
    while wanted:
        missing = {}
        for requirement in wanted:
            name = canonicalize_name(requirement.name)
            if name not in have:
                missing[name] = _pin(name, target, pins)
        found = _present(wheels, target, missing)
        if rest := {name: pin for name, pin in missing.items() if name not in found}:
            tell(f"{target.title}: {', '.join(sorted(rest))}")
            _download(wheels, target, rest.values())
            found |= _present(wheels, target, rest)
        if absent := [name for name in missing if name not in found]:
            raise SupplyError(f"pip downloaded no wheel of {', '.join(absent)} for {target.title}.")
        have |= found
        following = []
        for requirement in wanted:
            name = canonicalize_name(requirement.name)
            extras = set(requirement.extras)
            if name not in followed or extras - followed[name]:
                followed[name] = followed.get(name, set()) | extras
                following += _requires(have[name], followed[name], target)
        wanted = following
    return set(have.values())


def _pin(name: str, target: Target, pins: dict[str, list[Pin]]) -> Pin:
    for pin in pins.get(name, []):
        marker = pin.requirement.marker
        if marker is None or marker.evaluate(target.environment):
            return pin
    where = "in requirements.lock" if LOCK.is_file() else "installed here"
    raise SupplyError(f"A wheel requires {name} for {target.title}, but no version is {where}.")


def _requires(wheel: Path, extras: set[str], target: Target) -> list[Requirement]:
    """The requirements of a wheel on that machine."""
    found = []
    for text in metadata_of(wheel).get_all("Requires-Dist", []):
        requirement = Requirement(text)
        environments = [target.environment | {"extra": extra} for extra in ("", *sorted(extras))]
        marker = requirement.marker
        if marker is None or any(marker.evaluate(one) for one in environments):
            found.append(requirement)
    return found


def metadata_of(wheel: Path) -> Message:
    """The METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = [n for n in file.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        return HeaderParser().parsestr(file.read(name).decode("utf-8"))


def _present(wheels: Path, target: Target, pins: dict[str, Pin]) -> dict[str, Path]:
    """The wheels of these pins that are present, right, and installable on that machine."""
    tags, found = set(target.tags()), {}
    for wheel in wheels.glob("*.whl"):
        try:
            name, version, _, of = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename:
            continue
        pin = pins.get(name)
        if pin and str(version) == pin.version and not of.isdisjoint(tags):
            if hash_file(wheel) in pin.hashes if pin.hashes else _whole(wheel):
                found[name] = wheel
    return found


def _whole(wheel: Path) -> bool:
    try:
        with zipfile.ZipFile(wheel) as file:
            return file.testzip() is None
    except zipfile.BadZipFile:
        return False


def _download(wheels: Path, target: Target, pins: Iterable[Pin]) -> None:
    """Let pip download these into a folder of their own, then move them to their place."""
    lines = [
        f"{pin.requirement.name}=={pin.version}"
        + "".join(f" --hash=sha256:{h}" for h in pin.hashes)
        for pin in pins
    ]
    with _scratch(wheels) as folder:
        (folder / "wanted.txt").write_text("\n".join(lines), "utf-8")
        options = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), "-q"]
        run_pip(["download", *options, *target.pip_options(), "-r", str(folder / "wanted.txt")])
        for wheel in folder.glob("*.whl"):
            os.replace(wheel, wheels / wheel.name)


@contextmanager
def _scratch(wheels: Path) -> Iterator[Path]:
    """A hidden folder beside the wheels, which no server shows; removed at the end."""
    folder = wheels / ".coming"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_pip(arguments: Sequence[str]) -> None:
    """Run the pip of this Python, or the one bundled with Python. Raises SupplyError."""
    command = [sys.executable, "-m", "pip"]
    if find_spec("pip") is None:
        import ensurepip

        bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
        if not bundled:
            raise SupplyError("pip is needed to collect wheels: install it (uv pip install pip).")
        command = [sys.executable, str(bundled[-1] / "pip")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()][-4:]
        raise SupplyError(f"pip could not download the wheels: {' '.join(lines)}")


def required() -> set[str]:
    """The canonical names of the packages that tlcourse requires on every machine."""
    texts = importlib.metadata.requires("tlcourse") or []
    plain = [one for one in map(Requirement, texts) if one.marker is None]
    return {canonicalize_name(one.name) for one in plain}


def own_wheel(wheels: Path) -> Path:
    """Put tlcourse's wheel into `wheels`, in place of an older one: built in a clone, else repacked."""
    with _scratch(wheels) as folder:
        in_clone = (ROOT / "pyproject.toml").is_file()
        wheel = _built(folder) if in_clone else repacked("tlcourse", folder)
        for old in wheels.glob("tlcourse-*.whl"):
            if old.name != wheel.name:
                old.unlink()
        return wheel.replace(wheels / wheel.name)


def _built(folder: Path) -> Path:
    if find_spec("hatchling") is None:
        run_pip(["wheel", "--no-deps", "-q", "--wheel-dir", str(folder), str(ROOT)])
    else:
        command = [sys.executable, "-c", BUILD, str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SupplyError(f"tlcourse's own wheel could not be built: {done.stderr[-500:]}")
    (wheel,) = folder.glob("tlcourse-*.whl")
    return wheel


def repacked(name: str, folder: Path) -> Path:
    """The wheel of an installed distribution, made from its files. Returns its path in `folder`.

    What an installer added is left out (it makes scripts from the entry points).
    """
    found = importlib.metadata.distribution(name)
    info = next(str(file.parent) for file in found.files or () if file.name == "METADATA")
    left_out = {f"{info}/{each}" for each in OF_INSTALLERS}
    paths = sorted(
        file.as_posix()
        for file in found.files or ()
        if ".." not in file.parts
        and "__pycache__" not in file.parts
        and file.as_posix() not in left_out
    )
    tags = [line[5:] for line in found.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
    parts = (
        ".".join(dict.fromkeys(part)) for part in zip(*(t.split("-") for t in tags), strict=True)
    )
    wheel = folder / f"{info.removesuffix('.dist-info')}-{'-'.join(parts)}.whl"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in paths:
            body = Path(found.locate_file(path)).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
            rows.writerow([path, f"sha256={digest}", len(body)])
            packed.writestr(path, body)
        rows.writerow([f"{info}/RECORD", "", ""])
        packed.writestr(f"{info}/RECORD", record.getvalue())
    return wheel
