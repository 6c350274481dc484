"""A real JupyterLab in a real Chromium, for tests, pictures and measurements.

with lab(folder) as server, chromium() as browser:
    book = Notebook(browser, server, cells)
    book.run(0)
    cockpit = book.cockpit()
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlcourse.ui import lab_environment

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()

PATIENCE_MS = 60_000  # whatever is waited for: a busy machine is slow, not wrong


@dataclass(frozen=True)
class Server:
    url: str
    token: str
    folder: Path


def executable() -> str | None:
    """Debian's Chromium, or whichever there is."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


@contextlib.contextmanager
def lab(folder: Path, *, extra: dict[str, str] | None = None) -> Iterator[Server]:
    """`jupyter lab` on 127.0.0.1 with a token, on a free port, with settings of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    home = folder / ".jupyter-home"
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ, **lab_environment(),
        "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"), "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"), "OMP_NUM_THREADS": "1", **(extra or {}),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
        "--ip=127.0.0.1", f"--port={port}", f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={token}", "--ServerApp.port_retries=0",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    log = (home / "server.log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            if server.poll() is not None:
                raise RuntimeError(
                    f"jupyter lab ended: {(home / 'server.log').read_text()[-2000:]}"
                )
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/api?token={token}", timeout=2).close()
                break
            time.sleep(0.25)
        yield Server(url, token, folder)
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable(), args=FLAGS, ignore_default_args=["--headless=old"]
        )
        try:
            yield browser
        finally:
            browser.close()


def playwright_timeout() -> type[Exception]:
    from playwright.sync_api import TimeoutError

    return TimeoutError


def write_notebook(path: Path, cells: list[str], kernel: str = "python3") -> None:
    made = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None,
         "outputs": [], "source": source}
        for i, source in enumerate(cells)
    ]  # fmt: skip
    metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    path.write_text(
        json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    )


class Notebook:
    """An open notebook: run a cell, read what it printed, find its cockpit. app: "lab", or "notebooks"
    for Notebook 7, which the same server has."""

    def __init__(
        self, context: Any, server: Server, name: str, kernel: bool = True, app: str = "lab"
    ) -> None:
        self.name = name
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []

        def complain(error: Any) -> None:
            # Notebook 7 has errors of its own on an empty page, and a slow JupyterLab takes its splash
            # away twice; ours come from the widget's module.
            mine = "blob:" in (error.stack or "")
            if mine or (app == "lab" and "removeChild" not in str(error)):
                self.complaints.append(f"{error} {error.stack}")

        self.page.on("pageerror", complain)
        place = "lab/tree" if app == "lab" else app
        url = f"{server.url}/{place}/{name}?token={server.token}&reset"
        try:
            self._open(url, kernel)
        except playwright_timeout():  # Jupyter alone is at work here: do what a person does, once
            self._open(url, kernel)

    def _open(self, url: str, kernel: bool) -> None:
        self.page.goto(url)
        self.page.wait_for_function(  # before it, the launcher may be there for a while
            "name => window.jupyterapp?.shell?.currentWidget?.context?.path === name", arg=self.name
        )
        self._within(
            60_000,
            """async kernel => {
                const panel = jupyterapp.shell.currentWidget;
                await panel.context.ready;
                if (kernel) {
                    await panel.sessionContext.ready;
                    await panel.sessionContext.session.kernel.info;
                }
                if (jupyterapp.shell.leftCollapsed === false && location.pathname.includes('/lab'))
                    await jupyterapp.commands.execute('application:toggle-left-area');
            }""",
            kernel,
        )

    def _within(self, limit_ms: float, script: str, argument: Any = None) -> None:
        """Run an async function in the page; TimeoutError if it takes longer (`evaluate` would wait
        for ever)."""
        self.page.evaluate(
            f"argument => {{ window.__within = 'waiting'; ({script})(argument).then("
            "() => { window.__within = 'done'; }, error => { window.__within = String(error); }); }",
            argument,
        )
        self.page.wait_for_function("() => window.__within !== 'waiting'", timeout=limit_ms)
        assert (said := self.page.evaluate("() => window.__within")) == "done", said

    def start(self, index: int) -> None:
        """Run a cell and do not wait for it."""
        self.page.evaluate(
            """index => {
                const notebook = jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = index;
                notebook.deselectAll();
                window.__cell = jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )

    def run(self, index: int) -> str:
        """Run a cell to its end and return what it printed. A traceback fails the test."""
        self.start(index)
        self.page.evaluate("() => window.__cell")
        return self.printed(index)

    def add(self, source: str) -> int:
        return self.page.evaluate(
            """source => {
                const cells = jupyterapp.shell.currentWidget.content.model.sharedModel;
                cells.insertCell(cells.cells.length, {cell_type: 'code', source});
                return cells.cells.length - 1;
            }""",
            source,
        )

    def ask(self, expression: str) -> Any:
        """The value of a Python expression in the kernel, through a new cell."""
        at = self.add(f"import json; print(json.dumps({expression}))")
        return json.loads(self.run(at).strip().splitlines()[-1])

    def keep_only(self, count: int) -> str:
        """Drop all cells after the first `count`; the notebook's name."""
        return self.page.evaluate(
            """count => {
                const panel = jupyterapp.shell.currentWidget;
                const cells = panel.content.model.sharedModel;
                if (cells.cells.length > count) cells.deleteCellRange(count, cells.cells.length);
                return panel.context.path;
            }""",
            count,
        )

    def printed(self, index: int) -> str:
        cell = self.page.evaluate(
            "index => jupyterapp.shell.currentWidget.content.model.cells.get(index).toJSON()", index
        )
        outputs = cell["outputs"]
        errors = [o["evalue"] for o in outputs if o["output_type"] == "error"]
        assert not errors, errors
        return "".join("".join(o.get("text", "")) for o in outputs if o["output_type"] == "stream")

    def cockpit(self, nth: int = -1) -> Any:
        """The cockpit's element (the last by default)."""
        found = self.page.locator('.tlc[aria-label="Training cockpit"]')
        found.first.wait_for()
        return found.last if nth == -1 else found.nth(nth)

    def save(self) -> None:
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")

    def theme(self, name: str) -> None:
        """ "JupyterLab Light" or "JupyterLab Dark"."""
        self.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        dark = "false" if "Dark" in name else "true"
        self.page.wait_for_function("dark => document.body.dataset.jpThemeLight === dark", arg=dark)

    def close(self) -> None:
        """Shut the kernel down and leave."""
        with contextlib.suppress(playwright_timeout()):  # the server ends what is left
            self._within(
                30_000,
                "async () => { await jupyterapp.shell.currentWidget.sessionContext.shutdown(); }",
            )
        self.page.close()
