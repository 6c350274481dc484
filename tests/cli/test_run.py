"""`tlcourse run NN` and `tlcourse test`: headless, honest exit codes, everything kept."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.course.conftest import SAMPLE, write_lesson  # noqa: F401  a fixture
from tlcourse.cli.selftest import CLONE, plan
from tlcourse.course.headless import run


def test_a_run_keeps_notebook_records_and_figures(write_lesson, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    told = run(write_lesson(), "pocket", out, 60)
    assert json.loads((out / "42-figures.json").read_text()) == told
    assert told["passed"] and told["tier"] == "pocket" and told["lesson"] == "42"
    assert told["records"] == ["records/42.jsonl"]
    assert [figure["cell"] for figure in told["figures"]] == [3]
    assert told["versions"]["torch"] and told["hardware"]["cores"]
    assert 0 < told["seconds"] < 60
    assert 10 < told["memory_mb"] < 100_000 and told["gpu_memory_mb"] is None  # no torch, no GPU
    assert json.loads((out / "42-sample.ipynb").read_text())["cells"][1]["outputs"]


def test_a_claim_that_fails_fails_the_run_and_is_kept(write_lesson, tmp_path):  # noqa: F811
    taught = write_lesson(SAMPLE.replace("at_least=0.25", "at_least=0.75"))
    failure = run(taught, "pocket", tmp_path, 60)["failure"]
    assert "cell 3 of 5" in failure and "ClaimFailed" in failure and "42.1" in failure
    told = json.loads((tmp_path / "42-figures.json").read_text())
    assert told["passed"] is False and told["failure"] == failure
    assert told["records"] == []
    assert "ClaimFailed" in (tmp_path / "42-sample.ipynb").read_text()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send there")
def test_ctrl_c_ends_a_run_in_one_line_and_leaves_no_kernel(tmp_path):
    command = [sys.executable, "-m", "tlcourse", "run", "01", "--tier", "pocket"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, **pipes)
    while not (line := process.stdout.readline()).startswith("  ["):
        assert line, process.stderr.read()
    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert told.strip() == "tlcourse: stopped."
    assert psutil.wait_procs(kernels, timeout=60)[1] == []


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for place in ("notebooks", "tests/notebooks"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "01-x.ipynb").write_text("{}")
    return tmp_path


def test_the_default_selection_is_everything_but_the_lessons_of_the_public_tier(clone):
    arguments = plan((), clone)
    assert str(clone / "tests" / "notebooks" / "01-x.ipynb") in arguments
    assert str(clone / "notebooks" / "01-x.ipynb") not in arguments
    assert "--nbval" in arguments and "loadfile" in arguments
    assert arguments[-1] == str(clone / "tests")


def test_the_lessons_of_the_public_tier_are_a_selection_of_their_own(clone):
    arguments = plan(("-x",), clone, public=True)
    assert arguments[-2:] == ["-x", str(clone / "notebooks" / "01-x.ipynb")]
    assert "--nbval" in arguments and str(clone / "tests") not in arguments
    # notebooks/ has no conftest: without ours no hand is recorded, and no tier is set
    assert arguments[:2] == ["-p", "tests.conftest"]
    assert (CLONE / "tests" / "conftest.py").exists()


def test_a_quick_selection_leaves_out_notebooks_and_what_is_slow(clone):
    arguments = plan((), clone, quick=True)
    assert "not slow and not browser" in arguments[arguments.index("-m") + 1]
    assert arguments[-1] == str(clone / "tests") and "--nbval" not in arguments
    assert str(clone / "tests") not in plan(("tests/notebooks",), clone, quick=True)


def test_arguments_narrow_the_selection_down(clone):
    assert plan(("-k", "supply"), clone)[-3:] == ["-k", "supply", str(clone / "tests")]
    assert plan(("tests/notebooks/01-x.ipynb",), clone)[-1] == "tests/notebooks/01-x.ipynb"
    assert str(clone / "tests") not in plan(("tests/notebooks",), clone)
