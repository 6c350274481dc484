"""A machine without internet installs the course from a mirror, and fetches its data."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.supply.things import content
from tlcourse import cards, supply
from tlcourse.cli.mirror import command
from tlcourse.errors import SupplyError
from tlcourse.supply.mirror import wheels
from tlcourse.supply.mirror.build import put
from tlcourse.supply.mirror.check import faults
from tlcourse.supply.mirror.index import write_index
from tlcourse.supply.mirror.pages import write_pages
from tlcourse.supply.mirror.wheels import LOCK, Target, collect, installed, read_lock, repacked

ROOM = Path(__file__).with_name("offline_room.py")
LIGHT = ("click", "filelock", "platformdirs", "requests", "rich")
THEIRS = ("certifi", "charset-normalizer", "idna", "urllib3", "markdown-it-py", "mdurl", "pygments")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A package registry of a folder: wheels put together again from what is installed here."""
    folder = tmp_path_factory.mktemp("registry")
    for name in (*LIGHT, *THEIRS):
        repacked(name, folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def built_once(tmp_path_factory):
    """Our own wheel, which every mirror holds, is built for the first one and copied to the others."""
    made = wheels._built(tmp_path_factory.mktemp("ours"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wheels, "_built", lambda folder: Path(shutil.copy(made, folder)))
        yield


@pytest.fixture
def own_registry(registry, monkeypatch, tmp_path):
    for key in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(registry))
    return registry


def ways() -> list[str]:
    """A network namespace where one may be made; else all sockets to elsewhere are refused."""
    if shutil.which("unshare"):
        if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0:
            return ["namespace"]
    return ["blocked"]


@pytest.mark.slow
@pytest.mark.public
@pytest.mark.skipif(sys.platform == "win32", reason="the room is written for POSIX")
@pytest.mark.parametrize("way", ways())
def test_a_room_without_internet_installs_and_fetches(
    way, mirror, own_registry, monkeypatch, tmp_path
):
    monkeypatch.setenv("TLCOURSE_MIRROR", str(mirror))
    names = ("mobilenetv2", "caltech24")
    folder = tmp_path / "mirror"
    chosen = [cards.get(name) for name in names]
    rows = put(folder, chosen, {n: supply.fetch(n, progress=False) for n in names}, print)
    rows += collect(folder, [Target()], print, roots=LIGHT, pins=installed())
    write_index(folder, rows)
    write_pages(folder, rows)
    assert faults(folder, lambda path: None) == []

    room = tmp_path / "room"
    start = ["unshare", "-rn"] if way == "namespace" else []
    rest = [] if way == "namespace" else ["--blocked"]
    done = subprocess.run(
        [*start, sys.executable, str(ROOM), str(folder), str(room), *names, *rest],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outside"] == "ENETUNREACH"
    assert told["where"].startswith(str(room))  # the installed course, not the clone's
    assert {line.split("==")[0].split(" @")[0].lower() for line in told["freeze"]} >= {
        "tlcourse",
        *LIGHT,
    }
    for name in names:
        assert f"{name}: fetched, every byte verified" in told["fetch"]
        assert f"{name}: is here, verified" in told["again"]
        found = content(room / "home" / "files" / name)
        assert found == content(supply.path(name)) and found


@pytest.mark.slow
def test_only_what_is_missing_is_asked_for(own_registry, tmp_path):
    said = []
    first = collect(tmp_path, [Target()], said.append, roots=["rich"], pins=installed())
    names = {row.path.split("/")[1].split("-")[0] for row in first}
    assert names == {"tlcourse", "rich", "markdown_it_py", "mdurl", "pygments"}
    assert len(said) == 4  # our own wheel, and three rounds: rich, what it requires, what that does
    (damaged,) = [tmp_path / row.path for row in first if "mdurl" in row.path]
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    said.clear()
    again = collect(tmp_path, [Target()], said.append, roots=["rich"], pins=installed())
    assert [row for row in again if "rich" in row.path or "mdurl" in row.path] == [
        row for row in first if "rich" in row.path or "mdurl" in row.path
    ]
    assert len(said) == 2 and said[1].endswith(": mdurl")


@pytest.mark.slow
def test_a_wheel_that_the_lock_does_not_vouch_for_is_refused(own_registry, tmp_path):
    """The registry's wheels were packed again, so their hashes are not the lock's."""
    pins = read_lock("mdurl==0.1.2 --hash=sha256:" + "0" * 64)
    assert str(installed()["mdurl"][0].requirement) == "mdurl==0.1.2"
    with pytest.raises(SupplyError, match="pip could not download the wheels.*"):
        collect(tmp_path, [Target()], print, roots=["mdurl"], pins=pins)
    assert not list((tmp_path / "wheels").glob("mdurl*"))


def tiny_wheel(folder, name, *requires):
    info = f"{name}-1.0.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", "\n".join([*lines, *(f"Requires-Dist: {r}" for r in requires), ""])
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "python, platform, names",
    [
        ("3.11", "linux", {"root", "linuxonly", "backport", "extra"}),
        ("3.13", "windows", {"root", "winonly", "extra"}),
        pytest.param("3.13", "macos", {"root", "extra"}, marks=pytest.mark.release),
    ],
)
def test_markers_hold_for_the_machine_that_is_named(monkeypatch, tmp_path, python, platform, names):
    """What `pip download --platform` alone gets wrong: it evaluates markers for this machine."""
    for name in ("linuxonly", "winonly", "backport", "extra", "unwanted"):
        tiny_wheel(tmp_path, name)
    tiny_wheel(
        tmp_path,
        "root",
        "linuxonly; sys_platform == 'linux'",
        "winonly; sys_platform == 'win32'",
        "backport; python_version < '3.12'",
        "extra; extra == 'more'",
        "unwanted; extra == 'less'",
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    pins = read_lock(
        "\n".join(f"{wheel.name.split('-')[0]}==1.0" for wheel in tmp_path.glob("*.whl"))
    )
    target = Target(python, platform)
    rows = collect(tmp_path / "m", [target], print, roots=["root[more]"], pins=pins)
    assert {row.path.split("/")[1].split("-")[0] for row in rows} == names | {"tlcourse"}


def test_the_lock_has_a_pin_for_everything_on_every_machine():
    pins = read_lock(LOCK.read_text("utf-8"))
    for python in ("3.11", "3.12", "3.13"):
        for platform in ("linux", "macos", "windows"):
            target = Target(python, platform)
            found = [
                [
                    pin
                    for pin in pins["torch"] + pins["numpy"]
                    if not pin.requirement.marker
                    or pin.requirement.marker.evaluate(target.environment)
                ]
            ]
            assert all(len(one) == 2 and all(pin.hashes for pin in one) for one in found)
            assert target.tags() and target.pip_options()


def test_what_no_registry_has_is_named(own_registry, tmp_path):
    with pytest.raises(
        SupplyError, match="requires left-out for Python .* has no version|no version"
    ):
        collect(tmp_path, [Target()], print, roots=["left-out"], pins=installed())


def test_a_python_that_is_none_is_refused(tmp_path):
    from click.testing import CliRunner

    for python, why in (("three", "give it as 3.12"), ("3.9", "needs 3.11 or newer")):
        arguments = ["build", str(tmp_path / "m"), "digits", "--python", python]
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 2 and why in result.output
    assert not (tmp_path / "m").exists()
