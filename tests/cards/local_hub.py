"""A hub on 127.0.0.1 that speaks the Hugging Face hub's language: its API, and its files' addresses.

What it says of a file is computed from the file, as the real one does: git's blob id, and for large
files (LFS) the sha256 and size. Each publication is a commit; branches move, commits do not.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.supply.server import Behaviour, Server
from tlcourse import cards
from tlcourse.cards import Card, Hub

LFS = (".safetensors", ".bin", ".model")
ENV = "TLCOURSE_MIRROR TLCOURSE_OFFLINE HF_HUB_OFFLINE HF_ENDPOINT".split()


class LocalHub:
    def __init__(self, server: Server):
        self.server = server
        self.url = server.url

    def publish(self, repo: str, files: Mapping[str, bytes], revision: str = "main") -> str:
        """Have these files as a new commit, to which the branch moves; the commit."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        said = {
            "id": repo,
            "sha": commit,
            "cardData": {"license": "mit"},
            "siblings": [self.sibling(path, body) for path, body in files.items()],
        }
        for name in (revision, commit):
            self.say(repo, name, json.dumps(said).encode())
        for path, body in files.items():
            self.server.put(f"/{repo}/resolve/{commit}/{path}", body)
        return commit

    def say(self, repo: str, revision: str, answer: bytes, *behaviours: Behaviour) -> None:
        path = f"/api/models/{repo}/revision/{revision}?blobs=True"
        self.server.put(path, answer, *behaviours)

    def sibling(self, path: str, body: bytes) -> dict:
        blob = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        row = {"rfilename": path, "size": len(body), "blobId": blob}
        if path.endswith(LFS):
            row["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        return row

    def asked(self) -> list[str]:
        return [path for path, _ in self.server.log]


def hub_card(repo: str, files: tuple[str, ...], *, loads: str = "", revision: str = "main") -> Card:
    """An unpinned card, named after the repository."""
    text = dict(title="T", kind="model", licence="MIT", citation="C", description="D")
    name = repo.split("/")[1].lower().replace(".", "-").replace("_", "-")
    where = f"https://huggingface.co/{repo}"
    return Card(
        name=name,
        source_url=where,
        assets=(),
        hub=Hub(repo, revision, files, parameters=1000, loads=loads),
        **text,
    )


def on_shelf(card: Card) -> Card:
    """Put the card on the user's shelf."""
    from tlcourse.supply.hub import save

    save(card, cards.pins())
    return card


@pytest.fixture
def local_hub(monkeypatch, tmp_path):
    """A running hub, which HF_ENDPOINT names; a store of its own; the real web is not asked for long."""
    for name in ENV:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TLCOURSE_TIMEOUT", "1")
    monkeypatch.setenv("TLCOURSE_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield LocalHub(server)
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join(2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
