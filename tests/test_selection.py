"""What `tlcourse test` selects: --quick reaches every room, and CI skips nothing that it could run."""

import os
import subprocess
import sys

import pytest

from tests.conftest import CI, ROOT, SLOW, NoAvoidableSkips, rank
from tlcourse.cli.selftest import NOT_QUICK

ROOMS = {path.parent.name for path in ROOT.glob("tlcourse/*/__init__.py")}


def test_quick_covers_every_room(request):
    """Of the rooms whose tests are in this run; in the whole run these are all rooms."""
    items = request.session.items
    quick = [item for item in items if not any(map(item.get_closest_marker, NOT_QUICK))]
    missed = {_room(item) for item in items} - {_room(item) for item in quick}
    assert not missed & ROOMS


def test_every_room_has_a_folder_of_tests():
    assert ROOMS <= {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}


def test_the_longest_files_come_first(request):
    ranks = [rank(item) for item in request.session.items]
    assert ranks == sorted(ranks)


def _room(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT).parts[1]


def test_every_name_of_a_slow_test_is_the_name_of_one():
    for name in SLOW:
        path, _, function = name.partition("::")
        assert f"def {function}" in (ROOT / "tests" / path).read_text(encoding="utf-8"), name


@pytest.mark.parametrize(
    ("reason", "avoidable"),
    [("there is no node", True), ("could not import 'furo'", True), ("no CUDA device here", False)],
)
def test_a_skip_that_ci_could_have_avoided_is_told_from_one_that_it_could_not(reason, avoidable):
    judge = NoAvoidableSkips()
    report = pytest.TestReport(
        "tests/x.py::test_it", ("", 0, ""), {}, "skipped", ("x.py", 1, f"Skipped: {reason}"), "call"
    )
    judge.pytest_runtest_logreport(report)
    assert list(judge.found) == ([f"tests/x.py::test_it: {reason}"] if avoidable else [])


@pytest.mark.slow
def test_such_a_skip_fails_the_run(tmp_path):
    (tmp_path / "test_one.py").write_text(
        "import pytest\n\npytest.importorskip('no_such_module')\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["-n", "1", "--rootdir", tmp_path, tmp_path]
    (tmp_path / "test_two.py").write_text("def test_it(): pass\n")
    environ = {**os.environ, CI: "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 1 and f"{CI} is set" in done.stdout, done.stdout + done.stderr
    assert "could not import 'no_such_module'" in done.stdout.split(f"{CI} is set")[1]
