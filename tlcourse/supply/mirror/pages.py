"""The pages of a mirror: an index of wheels for pip and uv (PEP 503), and a README."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from tlcourse.files import write_atomically
from tlcourse.supply.mirror.index import WHEELS, Row
from tlcourse.supply.mirror.pins import pinned_in
from tlcourse.supply.mirror.wheels import metadata_of
from tlcourse.supply.readable import size

PAGE = "<!DOCTYPE html>\n<html><head><meta charset='utf-8'><title>{title}</title></head><body>\n"


def write_pages(folder: Path, rows: Sequence[Row]) -> None:
    """Write simple/…/index.html for the wheels among the rows, and README.txt."""
    links: dict[str, list[str]] = {}
    for row in sorted(rows):
        if row.name == WHEELS:
            file = row.path.split("/")[-1]
            name = re.sub(r"[-_.]+", "-", file.split("-")[0]).lower()
            links.setdefault(name, []).append(_link(folder, row, file))
    if links:
        for old in (folder / "simple").glob("*/"):
            if old.name not in links:
                shutil.rmtree(old)
        for name, found in links.items():
            write_atomically(folder / "simple" / name / "index.html", _page(name, found))
        names = [f'<a href="{name}/">{name}</a>' for name in links]
        write_atomically(folder / "simple" / "index.html", _page("wheels", names))
    write_atomically(folder / "README.txt", readme(rows))


def _page(title: str, links: Iterable[str]) -> str:
    return (
        PAGE.format(title=title) + "".join(f"{link}<br>\n" for link in links) + "</body></html>\n"
    )


def _link(folder: Path, row: Row, file: str) -> str:
    needs = metadata_of(folder / row.path).get("Requires-Python", "")
    python = f' data-requires-python="{html.escape(needs)}"' if needs else ""
    return f'<a href="../../wheels/{quote(file)}#sha256={row.sha256}"{python}>{file}</a>'


def install_commands(address: str) -> list[str]:
    """What learners type to use a mirror that is served at `address` (http://HOST:PORT)."""
    host = address.split("://")[1].split(":")[0]
    return [
        f"pip install --index-url {address}/simple/ --trusted-host {host} tlcourse",
        f"TLCOURSE_MIRROR={address} tlcourse lab",
    ]


def readme(rows: Sequence[Row]) -> str:
    """The two commands, and what the mirror holds."""
    cards = sorted({row.name for row in rows if row.name != WHEELS})
    wheels = [row for row in rows if row.name == WHEELS]
    files = {row.path: row.bytes for row in rows}
    here = f"{', '.join(cards) or 'no data'}; {len(wheels)} wheels; {size(sum(files.values()))}"
    served = (
        "    pip install --index-url http://TEACHER:8000/simple/ --trusted-host TEACHER tlcourse\n"
    )
    carried = "    pip install --no-index --find-links FOLDER/wheels tlcourse\n"
    pins = " ".join(pinned_in(rows))
    take = f"    tlcourse cards pin {pins} --from {{}}\n" if pins else ""
    served = (served if wheels else "") + take.format("http://TEACHER:8000")
    carried = (carried if wheels else "") + take.format("FOLDER")
    return f"""\
A mirror of what the course tlcourse takes from the web. {here}.

From a server in the room (the teacher runs `tlcourse mirror serve`, which prints the address):

{served}    TLCOURSE_MIRROR=http://TEACHER:8000 tlcourse lab

From this folder, on a stick or a network drive (type the folder's path in place of FOLDER):

{carried}    TLCOURSE_MIRROR=FOLDER tlcourse lab

In Windows' PowerShell the last is two lines: $env:TLCOURSE_MIRROR = "…", then tlcourse lab.
Every byte is checked against the course's own list when it arrives. `tlcourse mirror check FOLDER`
says whether this folder is still whole.
"""
