"""One server and one browser for all; one notebook with a warm kernel for each ipykernel."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import driver

expect = pytest.importorskip("playwright.sync_api").expect

REPO = Path(__file__).parents[2]
SETUP = f"""import sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, {str(REPO)!r})
import ipykernel, tlcourse as tl
from tests.browser.runs import digits_run, small_weights
from tlcourse.session import Applied
def applied():
    given = [event.command.to_json() for event in run.events if isinstance(event, Applied)]
    return [{{k: v for k, v in command.items() if v is not None}} for command in given]
print(ipykernel.__version__)
"""


def kernel_of(version: str, folder: Path) -> str:
    """The name of a kernel with this ipykernel: the installed one, or one laid over it."""
    if importlib.metadata.version("ipykernel") == version:
        return "python3"
    overlay = folder / f"ipykernel-{version}"
    if overlay.exists():
        return overlay.name
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["uv", "pip"]
    if pip[0] == "uv" and not shutil.which("uv"):
        pytest.skip(f"neither pip nor uv is here to bring ipykernel {version}")
    command = [
        *pip,
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        overlay,
        f"ipykernel=={version}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"ipykernel {version} cannot be installed: {done.stderr.strip()[-300:]}")
    spec = folder / "jupyter" / "kernels" / f"ipykernel-{version}"
    spec.mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    content = {"argv": start, "display_name": spec.name, "env": {"PYTHONPATH": str(overlay)}}
    (spec / "kernel.json").write_text(json.dumps({**content, "language": "python"}))
    return spec.name


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    if driver.executable() is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium)")
    pytest.importorskip("playwright")
    folder = tmp_path_factory.mktemp("lab")
    with driver.lab(folder, extra={"JUPYTER_PATH": str(folder / "jupyter")}) as server:
        yield server


def begin(book: driver.Notebook, arguments: str = ""):
    """Start a run; its cockpit, once the view hears from the kernel. A run of few steps may be over
    by then."""
    book.run(book.add(f"run = digits_run({arguments})\ntl.Cockpit(run)"))
    cockpit = book.cockpit()
    expect(cockpit).to_have_attribute("data-link", "live")
    expect(cockpit).to_have_attribute("data-status", re.compile("running|finished|failed"))
    return cockpit


def control(cockpit, name: str):
    return cockpit.locator(f'[data-control="{name}"]')


def answer(cockpit, name: str):
    return cockpit.locator(f'[data-say~="{name}"]')


def goes_on(book: driver.Notebook) -> None:
    """Wait for another step of the run."""
    step = book.ask("run.step")
    while book.ask("run.step") == step:
        pass


class Gate:
    """A cell that is at work until the test lets it end."""

    def __init__(self, book: driver.Notebook, file: Path) -> None:
        self.file = file
        book.start(
            book.add(f"""import pathlib, time
while not pathlib.Path({str(file)!r}).exists():
    time.sleep(0.02)""")
        )

    def open(self) -> None:
        self.file.touch()


def stop(cockpit) -> None:
    control(cockpit, "stop").click()
    expect(cockpit).to_have_attribute("data-status", "stopped")


# For this folder only: while Playwright is open an event loop runs in this thread, and tests of other
# folders that come after it on the same worker could not start their own.
@pytest.fixture(scope="package")
def browser():
    with driver.chromium() as made:
        yield made


@pytest.fixture(scope="package")
def context(browser):
    return browser.new_context(viewport={"width": 1200, "height": 1400})


@pytest.fixture(scope="package")
def open_book(server, context):
    """Open a notebook whose kernel has this ipykernel, ready to make runs; one for each version,
    emptied and kept for the next test unless `open_book.books` forgets it."""
    books: dict[str, driver.Notebook] = {}

    def open_one(version: str, app: str = "lab") -> driver.Notebook:
        key = version if app == "lab" else f"{version}-{app}"
        if key not in books:
            name = f"steer-{key}.ipynb"
            kernel = kernel_of(version, server.folder)
            driver.write_notebook(server.folder / name, [SETUP], kernel)
            books[key] = driver.Notebook(context, server, name, app=app)
            assert books[key].run(0).strip() == version
        books[key].page.bring_to_front()
        books[key].keep_only(1)
        return books[key]

    open_one.books = books
    yield open_one
    for book in books.values():
        assert book.complaints == []
        book.close()
