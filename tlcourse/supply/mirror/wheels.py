"""Collecting the wheels that `pip install tlcourse` needs, at the lock's versions.

From tlcourse's own wheel on, each wheel says what it requires; the lock says which version, and
what its bytes must be; pip, as it is set up here, brings it. So the wheels are complete for a
machine that is not this one, too, and nothing is in a mirror that the lock does not vouch for.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

import tlcourse
from tlcourse.errors import SupplyError
from tlcourse.supply.mirror.index import WHEELS, Row
from tlcourse.supply.mirror.own import own_wheel
from tlcourse.supply.mirror.target import Target
from tlcourse.supply.store import hash_file

LOCK = Path(tlcourse.__file__).parents[1] / "requirements.lock"  # in a clone


@dataclass(frozen=True, slots=True)
class Pin:
    """One version of a package, where its marker holds; no hashes if nobody wrote them down."""

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
    """Where there is no lock (outside a clone): the versions that are installed here."""
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
    """Have every wheel below `folder`/wheels that these machines need; their rows.

    roots: requirements to begin with instead of what tlcourse's wheel says. Wheels that are there
    and right are not fetched again. Raises SupplyError with what pip said.
    """
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    if pins is None:
        pins = read_lock(LOCK.read_text("utf-8")) if LOCK.is_file() else installed()
    own = own_wheel(wheels)
    tell(own.name)
    kept = {own}
    for target in targets:
        kept |= _closure(wheels, own, target, pins, tell, roots)
    return [row_of(folder, wheel) for wheel in sorted(kept)]


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
    """Round by round: what is required, where it is, what that requires."""
    have: dict[str, Path] = {canonicalize_name("tlcourse"): own}
    asked: dict[str, set[str]] = {}  # extras that were followed
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
        if lost := [name for name in missing if name not in found]:
            raise SupplyError(f"pip brought no wheel of {', '.join(lost)} for {target.title}.")
        have |= found
        following = []
        for requirement in wanted:
            name = canonicalize_name(requirement.name)
            extras = set(requirement.extras)
            if name not in asked or extras - asked[name]:
                asked[name] = asked.get(name, set()) | extras
                following += _requires(have[name], asked[name], target)
        wanted = following
    return set(have.values())


def _pin(name: str, target: Target, pins: dict[str, list[Pin]]) -> Pin:
    for pin in pins.get(name, []):
        marker = pin.requirement.marker
        if marker is None or marker.evaluate(target.environment):
            return pin
    source = "requirements.lock has" if LOCK.is_file() else "there is installed here"
    raise SupplyError(f"A wheel requires {name} for {target.title}, of which {source} no version.")


def _requires(wheel: Path, extras: set[str], target: Target) -> list[Requirement]:
    """What a wheel says that it requires on that machine."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = [n for n in file.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        metadata = HeaderParser().parsestr(file.read(name).decode("utf-8"))
    found = []
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        environments = [target.environment | {"extra": extra} for extra in ("", *sorted(extras))]
        marker = requirement.marker
        if marker is None or any(marker.evaluate(one) for one in environments):
            found.append(requirement)
    return found


def _present(wheels: Path, target: Target, pins: dict[str, Pin]) -> dict[str, Path]:
    """The wheels of these pins that are here, right, and of use to that machine."""
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
    """Let pip bring these, apart, and move whole files to their place."""
    apart = wheels / ".coming"
    shutil.rmtree(apart, ignore_errors=True)
    apart.mkdir()
    lines = [
        f"{pin.requirement.name}=={pin.version}"
        + "".join(f" --hash=sha256:{h}" for h in pin.hashes)
        for pin in pins
    ]
    (apart / "wanted.txt").write_text("\n".join(lines), "utf-8")
    options = ["--no-deps", "--only-binary", ":all:", "--dest", str(apart), "-q"]
    try:
        run_pip(["download", *options, *target.pip_options(), "-r", str(apart / "wanted.txt")])
        for wheel in apart.glob("*.whl"):
            os.replace(wheel, wheels / wheel.name)
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def run_pip(arguments: Sequence[str]) -> None:
    """Run the pip of this Python, or the one that Python carries in itself."""
    command = [sys.executable, "-m", "pip"]
    if find_spec("pip") is None:
        import ensurepip

        bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
        if not bundled:
            raise SupplyError("pip is needed to collect wheels: install it (uv pip install pip).")
        command = [sys.executable, str(bundled[-1] / "pip")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()][-4:]
        raise SupplyError(f"pip could not bring the wheels: {' '.join(said)}")
