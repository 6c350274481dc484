"""A real `tlcourse lab`, started as a person would, and spoken to over HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ADDRESS = re.compile(r"(http://127\.0\.0\.1:(\d+)/)lab\S*\?token=([0-9a-f]+)")


@dataclass
class Lab:
    process: subprocess.Popen
    root: str
    port: int
    token: str
    said: list[str]

    def ask(self, path: str, token: str | None = None, method: str = "GET") -> dict:
        """One request to the server's API. urllib.error.HTTPError where it refuses."""
        headers = {"Authorization": f"token {self.token if token is None else token}"}
        request = urllib.request.Request(self.root + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def interrupt(self, patience_s: float = 60) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.said += self.process.communicate(timeout=patience_s)[0].splitlines(keepends=True)
        return self.process.returncode


@contextmanager
def lab(
    *arguments: str,
    cwd: Path,
    command: tuple[str, ...] = (sys.executable, "-m", "tlcourse"),
    environ: dict[str, str] | None = None,
    patience_s: float = 200,
) -> Iterator[Lab]:
    """A running lab with its address read from what it printed."""
    process = subprocess.Popen(
        [*command, "lab", "--no-browser", *arguments],
        cwd=cwd,
        env={**os.environ, **(environ or {}), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, end = [], time.monotonic() + patience_s
    try:
        while True:
            line = process.stdout.readline()
            said.append(line)
            if found := ADDRESS.search(line):
                break
            assert line and time.monotonic() < end, f"no address in: {''.join(said)}"
        yield Lab(process, found[1], int(found[2]), found[3], said)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)
