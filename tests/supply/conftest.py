from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.supply.server import Server
from tlcourse.supply import Settings


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join(2)


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Impatient, so that the tests are quick."""
    return Settings(
        tmp_path / "home", connect_s=1, stall_s=0.25, attempts=3, backoff_s=0.01, patience_s=1
    )


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No test sees the learner's own store, mirror or proxy."""
    for key in [key for key in os.environ if key.startswith("TLCOURSE_")]:
        monkeypatch.delenv(key)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The public data's mirror: TLCOURSE_MIRROR, else a folder beside the repository."""
    told = os.environ.get("TLCOURSE_MIRROR", "")
    beside = Path(__file__).parents[3] / "shared" / "mirror"
    folder = Path(told) if told and Path(told).is_dir() else beside
    if not (folder / "codeload.github.com").is_dir():
        pytest.skip("needs a mirror of the public data: set TLCOURSE_MIRROR")
    return folder
