from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import tarfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.supply.server import Server
from tlcourse.cards import Asset, Card, File
from tlcourse.supply import Settings


def noise(count: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(count)


def file_of(path: str, body: bytes) -> File:
    return File(path, len(body), hashlib.sha256(body).hexdigest())


def card_of(*assets: Asset, name: str = "thing") -> Card:
    text = dict(title="A thing", kind="data", licence="MIT", source_url="", citation="")
    return Card(name=name, assets=assets, description="", **text)


def one(url: str, body: bytes, path: str = "thing.bin") -> Card:
    """A card of a single file."""
    return card_of(Asset((url,), (file_of(path, body),)))


def tarball(members: Mapping[str, bytes] | Iterable[tuple[tarfile.TarInfo | str, bytes]]) -> bytes:
    """A tar.gz of these members; a TarInfo stands for itself."""
    pairs = members.items() if isinstance(members, Mapping) else members
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member, body in pairs:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return gzip.compress(raw.getvalue(), mtime=0)


def packed(urls: tuple[str, ...], files: Mapping[str, bytes], limit: int = 10**7) -> Card:
    """A card of an archive whose members lie below one leading folder."""
    rows = tuple(file_of(path, body) for path, body in files.items())
    return card_of(Asset(urls, rows, archive="tar.gz", strip=1, at_most_bytes=limit))


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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
