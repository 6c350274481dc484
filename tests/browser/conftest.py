"""One server and one browser for all; one notebook with a warm kernel for each ipykernel."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import driver

REPO = Path(__file__).parents[2]
SETUP = f"""import sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, {str(REPO)!r})
import ipykernel, tlcourse as tl
from tests.browser.runs import digits_run
from tlcourse.session import Applied, Refused
def applied(): return [event.command.to_json() for event in run.events if isinstance(event, Applied)]
print(ipykernel.__version__)
"""


def kernel_of(version: str, folder: Path) -> str:
    """The name of a kernel with this ipykernel: the installed one, or one laid over it."""
    if importlib.metadata.version("ipykernel") == version:
        return "python3"
    overlay = folder / f"ipykernel-{version}"
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


@pytest.fixture(scope="session")
def context(server):
    with driver.chromium() as browser:
        yield browser.new_context(viewport={"width": 1200, "height": 1400})


@pytest.fixture(scope="session")
def open_book(server, context):
    """Open a notebook whose kernel has this ipykernel, ready to make runs; one for each version,
    kept for the next test unless `open_book.books` forgets it."""
    books: dict[str, driver.Notebook] = {}

    def open_one(version: str) -> driver.Notebook:
        if version not in books:
            name = f"steer-{version}.ipynb"
            kernel = kernel_of(version, server.folder)
            driver.write_notebook(server.folder / name, [SETUP], kernel)
            books[version] = driver.Notebook(context, server, name)
            assert books[version].run(0).strip() == version
        books[version].page.bring_to_front()
        return books[version]

    open_one.books = books
    yield open_one
    for book in books.values():
        assert book.complaints == []
        book.close()
