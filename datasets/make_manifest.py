"""Make a card's manifest from an archive: `make_manifest.py ARCHIVE [PREFIX…] > NAME.tsv`.

For the maintainer, once per card. Every regular file of a tar.gz or zip below one of the prefixes
(all files if none is given; the leading folder is dropped first) becomes a line, sorted by path:
path, bytes, sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def manifest(archive: Path, prefixes: tuple[str, ...] = (), strip: int = 1) -> str:
    """The manifest's text; tlcourse/cards/__init__.py says what it is for."""
    rows = []
    for name, size, file in _members(archive):
        path = "/".join(name.split("/")[strip:])
        if path and path.startswith(prefixes or ""):
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            rows.append(f"{path}\t{size}\t{digest}\n")
    return "path\tbytes\tsha256\n" + "".join(sorted(rows))


def _members(archive: Path) -> Iterator[tuple[str, int, BinaryIO]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, file.open(info)
        return
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.isreg():
                yield member.name, member.size, tar.extractfile(member)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("prefixes", nargs="*")
    parser.add_argument("--strip", type=int, default=1, help="leading folders to drop (1)")
    options = parser.parse_args()
    sys.stdout.write(manifest(options.archive, tuple(options.prefixes), options.strip))
