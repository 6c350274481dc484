"""Things that are installed before all others, in a folder of their own, and that go wrong there."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed things that goes before all others, here and in child processes."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def install(site: Path, name: str, version: str, *rows: str) -> None:
    """What pip writes down about a package of that version."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *rows]
    (folder / "METADATA").write_text("\n".join(head) + "\n")


def module(site: Path, name: str, code: str) -> None:
    (site / name).mkdir()
    (site / name / "__init__.py").write_text(code)


def by_id(found) -> dict:
    return {one.id: one for one in found}
