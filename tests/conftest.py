"""What every test can rely on: a cache of its own run, a mirror if there is one, one thread each.

The process that starts the run sets this in the environment, so that the workers of pytest-xdist and
the kernels of the notebooks have it too: a download occurs once (supply locks its files).
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tlcourse.course.execute import fetch_cards
from tlcourse.course.recorded_hands import VARIABLE as HAND
from tlcourse.course.syllabus import lesson
from tlcourse.course.tiers import VARIABLE as TIER
from tlcourse.course.tiers import has_cuda
from tlcourse.spoken import VARIABLE as COMMAND

settings.register_profile("tlcourse", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("tlcourse")

ROOT = Path(__file__).resolve().parent.parent
MIRROR = ROOT.parent / "shared" / "mirror"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CI = "TLCOURSE_CI"  # set by .ci/run, which installs what tests need
UNAVOIDABLE = (  # the only reasons for which CI may skip a test
    "no CUDA device",
    "TLCOURSE_TEST_NET is not set",
    "TLCOURSE_MIRROR",  # CI takes a mirror where there is one
    "mount",  # a container may forbid it
    "namespaces are not allowed",
    "no unshare",
    "no Python outside of this environment",
)
# Slow by measurement, though without the marker: what starts processes or Sphinx, or is slow for some
# parameters only. A file alone, or a file and the beginning of a test's name.
SLOW = (
    "cards/test_counts.py",
    "cli/test_claims.py",
    "cli/test_lab.py",
    "cli/test_run.py::test_ctrl_c",
    "course/test_execute.py::test_a_failure_names",
    "data/test_data.py",
    "methods/test_adversarial.py::test_the_adversary_takes_out",
    "methods/test_forgetting.py::test_drawn_labels",
    "methods/test_masking.py::test_a_few_steps_of_practice",
    "methods/test_scalable.py",
    "models/test_pocket_and_text.py::test_a_shipped_backbone",
    "session/test_huggingface.py",
    "session/test_loader.py",
    "session/test_ranks.py",
    "session/test_script.py",
    "test_docs.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(NotebookTiers(), "notebook-tiers")
    if os.environ.get(CI) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NoAvoidableSkips(), "no-avoidable-skips")
    if hasattr(config, "workerinput"):
        return  # the environment came with the process
    place = Path(tempfile.mkdtemp(prefix="tlcourse-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(place, ignore_errors=True))
    for name in ("TLCOURSE_HOME", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        os.environ[name] = str(place / name.lower())  # nobody's own settings, nobody's own cache
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # two workers on two cores; and runs can be compared bit by bit
    if MIRROR.is_dir():
        os.environ.setdefault("TLCOURSE_MIRROR", str(MIRROR))
    # Without compiled files each of a hundred programs that tests start would compile the course anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in (TIER, HAND, COMMAND):  # as `tlcourse` itself would have it, not as start.py
        os.environ.pop(name, None)


class NotebookTiers:
    """A reference notebook runs as it was made (those outside of tests/ too): tier and hand."""

    def __init__(self) -> None:
        self.fetched: set[tuple[Path, str]] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.path.suffix == ".ipynb":
            tier = "public" if item.path.parent == ROOT / "notebooks" else "pocket"
            os.environ[TIER] = tier
            if (item.path, tier) not in self.fetched:  # a fetch inside a cell would be its output
                self.fetched.add((item.path, tier))
                fetch_cards(lesson(item.path.name), tier)
            os.environ[HAND] = "recorded"
            # The cockpit's picture comes by an update of its display, which nbval does not follow.
            item.parent.skip_compare = (*item.parent.skip_compare, "image/svg+xml")
        else:
            os.environ.pop(TIER, None)
            os.environ.pop(HAND, None)


class NoAvoidableSkips:
    """In CI, a test that was skipped for want of something that CI installs fails the run."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._hear(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._hear(report)

    def _hear(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = str(
                report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            )
            if not any(known in reason for known in UNAVOIDABLE):
                self.found[f"{report.nodeid}: {reason.removeprefix('Skipped: ')}"] = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section(f"skipped, but {CI} is set: install what is missing", red=True)
            for line in self.found:
                terminalreporter.line(line)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, with the reason; mark what is slow; the longest files first."""
    reasons = {
        "browser": None if any(map(shutil.which, CHROMIUM)) else "no Chromium here",
        "public": None if os.environ.get("TLCOURSE_MIRROR") else "TLCOURSE_MIRROR is not set",
        "net": None if os.environ.get("TLCOURSE_TEST_NET") else "TLCOURSE_TEST_NET is not set",
        "gpu": "asked for below",
    }
    if any(item.get_closest_marker("gpu") for item in items):  # may import torch
        reasons["gpu"] = None if has_cuda() else "no CUDA device here"
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        for name, reason in reasons.items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(
        key=rank
    )  # else at the end one of them would keep one worker busy and the other idle


def rank(item: pytest.Item) -> int:
    """Notebooks, then the files that share a browser, then what is slow, then the rest."""
    place = item.nodeid.removeprefix("tests/")
    if item.path.suffix == ".ipynb" or place.startswith("browser/"):
        return item.path.suffix != ".ipynb"
    return 2 if any(place.startswith(name.partition("::")[0]) for name in SLOW) else 3
