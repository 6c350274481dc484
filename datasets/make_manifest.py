"""Make a card's manifest from a tarball: `make_manifest.py ARCHIVE [PREFIX…] > NAME.tsv`.

For the maintainer, once per card. Every regular file below one of the prefixes (after the leading
folder has been dropped; all files without a prefix) becomes a line: path, bytes, sha256, by path.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
from pathlib import Path


def manifest(archive: Path, prefixes: tuple[str, ...] = (), strip: int = 1) -> str:
    """The manifest's text; see tlcourse/cards/__init__.py for what it is for."""
    rows = []
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = "/".join(member.name.split("/")[strip:])
            if not member.isreg() or not path.startswith(prefixes or ""):
                continue
            digest = hashlib.file_digest(tar.extractfile(member), "sha256").hexdigest()
            rows.append(f"{path}\t{member.size}\t{digest}\n")
    return "path\tbytes\tsha256\n" + "".join(sorted(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("prefixes", nargs="*")
    parser.add_argument("--strip", type=int, default=1, help="leading folders to drop (1)")
    options = parser.parse_args()
    sys.stdout.write(manifest(options.archive, tuple(options.prefixes), options.strip))
