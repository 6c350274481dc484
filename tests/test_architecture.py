"""The rooms keep the directions that docs/architecture.md draws."""

import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import tlcourse
from tlcourse.session import kinds

PACKAGE = Path(tlcourse.__file__).parent
MAY_IMPORT = {  # the table in docs/architecture.md
    "errors": set(),
    "cards": set(),
    "supply": {"cards"},
    "data": {"supply"},
    "models": {"supply"},
    "session": {"data", "models"},
    "methods": {"session"},
    "measure": {"methods"},
    "plots": {"measure"},
    "course": {"measure", "plots"},
    "ui": {"session", "plots", "course"},
}
# Within `session`, a part imports only from parts to the left of it. An import inside a function counts;
# one for type checking alone does not.
SESSION = (
    "commands state events eventlog steerable recipe threads model timelines result engine "
    "record autosave guests session replay resume recording"
).split()
FRONT_END = {"traitlets", "anywidget", "IPython", "ipywidgets"}
# No rooms: they import no room, and every room may import them.
BESIDE = {"checks", "errors", "files", "memory", "rng", "schema", "spoken"}
LIGHT = ("tlcourse", "tlcourse.cards", "tlcourse.supply", "tlcourse.course")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "tlcourse",
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


def reachable(room: str) -> set[str]:
    """The rooms that a room may import: those of its row, and what those may import."""
    found = {room} | BESIDE
    for other in MAY_IMPORT[room]:
        found |= reachable(other)
    return found


def test_the_table_names_every_room():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms | {"errors"} == set(MAY_IMPORT) | {"cli"}


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_rooms_above_it(graph, room):
    allowed = reachable(room)
    wrong = []
    for module in {f"tlcourse.{room}"} | graph.find_descendants(f"tlcourse.{room}"):
        for imported in graph.find_modules_directly_imported_by(module):
            parts = imported.split(".")
            if parts[0] == "tlcourse" and len(parts) > 1 and parts[1] not in allowed:
                wrong.append(f"{module} imports {imported}")
    assert not wrong


def test_within_a_session_imports_only_point_downwards(graph):
    room = "tlcourse.session."
    modules = {m.removeprefix(room) for m in graph.modules if m.startswith(room)}
    assert {module.partition(".")[0] for module in modules} == set(SESSION)
    place = {part: n for n, part in enumerate(SESSION)}
    upwards = {
        (module, imported.removeprefix(room))
        for module in modules
        for imported in graph.find_modules_directly_imported_by(room + module)
        if imported.startswith(room)
        and place[module.partition(".")[0]] < place[imported.removeprefix(room).partition(".")[0]]
    }
    assert not upwards
    doors = {
        m for m in modules if f"{room}{m}" in graph.find_modules_that_directly_import(room[:-1])
    }
    assert not doors  # nobody inside imports `tlcourse.session` itself


def test_no_modules_import_each_other_in_a_circle(graph):
    imports = {
        module: graph.find_modules_directly_imported_by(module)
        for module in graph.modules
        if module.startswith("tlcourse")
    }
    assert not circles_of(imports)


def circles_of(imports: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules that reach one another."""

    def reached(module: str) -> set[str]:
        found, left = set(), [module]
        while left:
            for other in imports.get(left.pop(), set()) - found:
                found.add(other)
                left.append(other)
        return found

    reach = {module: reached(module) for module in imports}
    circles = {
        frozenset(o for o in reach[m] if m in reach.get(o, ())) for m in reach if m in reach[m]
    }
    return [set(circle) for circle in sorted(circles, key=sorted)]


def test_a_circle_is_found():
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "e"}, "e": {"e"}}
    assert circles_of(imports) == [{"b", "c"}, {"e"}]


def test_only_ui_knows_the_front_end(graph):
    knowing = {
        (module, package)
        for package in FRONT_END & graph.modules
        for module in graph.find_modules_that_directly_import(package)
        if not module.startswith("tlcourse.ui")
    }
    assert not knowing


@pytest.mark.parametrize("module", LIGHT)
def test_importing_brings_no_torch(module):
    assert heavy_after(f"import {module}") == "[]"


def test_help_brings_no_torch():
    assert heavy_after("from tlcourse.cli import main; main(['--help'])").endswith("[]")


def heavy_after(code: str) -> str:
    """The heavy libraries that a fresh Python has loaded after this code."""
    ask = "import sys; print([m for m in ('torch', 'sklearn', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{ask}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_shop_window_shows_what_it_promises():
    assert [name for name in tlcourse.__all__ if getattr(tlcourse, name, None) is None] == []
    assert set(dir(tlcourse)) == {*tlcourse.__all__, "__version__"}
    assert len(tlcourse.__all__) - len(kinds()) <= 30  # besides the commands


def test_the_page_says_where_everything_lives():
    page = Path(__file__).parents[1] / "docs" / "architecture.md"
    words = set(re.findall(r"\w+", page.read_text(encoding="utf-8")))
    alike = {"lessons", "exercises", "sources", "surface"}  # one file a lesson or data set
    unnamed = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.stem.strip("_") not in words | {"init", "main"} and not alike & set(path.parts)
    ]
    assert not unnamed, f"docs/architecture.md does not name {', '.join(unnamed)}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_a_file_can_be_read_in_a_sitting(path):
    if path.parent.name != "lessons":
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
