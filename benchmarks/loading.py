"""Images a second of each picture loader beside its decoder, and what load_data and load_model cost.

    python benchmarks/loading.py [--rounds 5] [--fresh 3] [--only NAME …] [--skip decode|fresh]

First table: the same files through the loader's own `read` (decoding, cropping, resizing, masks and
boxes, one tensor) and through decoders that keep nothing, in turn, round by round: Pillow at full
size, Pillow with draft mode and a resize (the least that a picture of that size can cost), and
torchvision's decoder with 1 and 2 threads, without a resize. A ratio is the loader's rate by the
decoder's of the same round; median (lowest … highest).

Second table: load_data or load_model of every card whose files are here, each in a fresh process:
seconds of that call, and how far it raised the peak of memory above that of a process with torch
imported. Fetch first (`tlcourse fetch --all`): what is measured is loading, not the network.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tlcourse import cards
from tlcourse.data.load import ENTRIES
from tlcourse.data.load import names as data_names
from tlcourse.models import names as model_names
from tlcourse.supply import path

# Sets whose loaders read picture files: where those lie, of the first domain.
PICTURES = {
    "bccd": "BCCD/JPEGImages/*.jpg",
    "caltech24": "101_ObjectCategories/*/*.jpg",
    "magnetic-tile": "MT_*/Imgs/*.*",  # photos and masks
    "mnist": "*/*/*.png",
    "omniglot": "*/*/*.png",
    "pacs": "PACS/photo/*/*",
}
FRESH = """
import json, sys, time
from pathlib import Path
import torch
import tlcourse.data.load, tlcourse.models.load

def peak():  # bytes; ru_maxrss of a child on Linux starts at its parent's
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

kind, name = sys.argv[1:]
before, began = peak(), time.perf_counter()
if kind == "data":
    thing = tlcourse.data.load.load_data(name)
else:
    thing = tlcourse.models.load.load_model(name, classes=10)
seconds = time.perf_counter() - began
print(json.dumps([seconds, (peak() - before) / 1e6]))
"""


def decoders(files: list[Path], size: int) -> dict[str, Callable[[], None]]:
    """Ways to decode the files' bytes, which are in memory, and throw the pictures away."""
    import torch
    from PIL import Image
    from torchvision.io import ImageReadMode, decode_image

    bodies = [file.read_bytes() for file in files]
    tensors = [torch.frombuffer(bytearray(body), dtype=torch.uint8) for body in bodies]

    def pillow() -> None:
        for body in bodies:
            with Image.open(io.BytesIO(body)) as image:
                image.convert("RGB")

    def draft() -> None:
        for body in bodies:
            with Image.open(io.BytesIO(body)) as image:
                image.draft("RGB", (2 * size, 2 * size))
                image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)

    def one(tensor: torch.Tensor) -> None:
        decode_image(tensor, ImageReadMode.RGB)

    def vision() -> None:
        for tensor in tensors:
            one(tensor)

    def vision_threads() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one, tensors))

    return {
        "Pillow": pillow,
        "Pillow, draft, resized": draft,
        "torchvision": vision,
        "torchvision, 2 threads": vision_threads,
    }


def rates(name: str, rounds: int) -> tuple[int, dict[str, list[float]]]:
    """How many pictures, and pictures a second of the loader and of each decoder, round by round."""
    entry = ENTRIES[name]
    domain = entry.domains[0] if entry.domains else None
    files = sorted(path(name).glob(PICTURES[name]))
    ways = {"loader": lambda: entry.read(entry.size, domain), **decoders(files, entry.size)}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for round in range(rounds + 1):
        for way, act in ways.items():
            began = time.perf_counter()
            act()
            if round:  # the first warms the disk's cache
                found[way].append(len(files) / (time.perf_counter() - began))
    return len(files), found


def fresh(kind: str, name: str) -> tuple[float, float] | str:
    """(seconds, MB) of one load in a process of its own, or why it could not be."""
    done = subprocess.run([sys.executable, "-c", FRESH, kind, name], capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} … {high:,.{digits}f})"


def things() -> list[tuple[str, str]]:
    """Data sets and models that can be loaded without fetching."""
    known = [("data", name) for name in data_names()] + [("model", name) for name in model_names()]
    there = {name for name in cards.names() if path(name) is not None}
    return [(kind, name) for kind, name in known if name in there or name not in cards.names()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of decoding (5)")
    parser.add_argument("--fresh", type=int, default=3, help="processes for each card (3)")
    parser.add_argument("--only", nargs="*", help="names of cards")
    parser.add_argument("--skip", choices=("decode", "fresh"))
    asked = parser.parse_args()

    def wanted(name: str) -> bool:
        return not asked.only or name in asked.only

    if asked.skip != "decode":
        print("| pictures | files | size | loader, images/s | ", end="")
        print(
            "loader / Pillow | / Pillow, draft, resized | / torchvision | / torchvision, 2 threads |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for name in filter(wanted, PICTURES):
            if path(name) is None:
                print(f"| {name} | not here: tlcourse fetch {name} |" + " |" * 6)
                continue
            count, found = rates(name, asked.rounds)
            mine = found.pop("loader")
            ratios = [
                spread([a / b for a, b in zip(mine, other, strict=True)], 2)
                for other in found.values()
            ]
            cells = (name, f"{count:,}", str(ENTRIES[name].size), spread(mine, 0), *ratios)
            print(f"| {' | '.join(cells)} |", flush=True)
    if asked.skip != "fresh":
        print("\n| loaded | seconds | peak memory, MB |\n|---|--:|--:|")
        chosen = [(kind, name) for kind, name in things() if wanted(name)]
        measured: dict[tuple[str, str], list] = {one: [] for one in chosen}
        for _ in range(asked.fresh):
            for one in chosen:
                measured[one].append(fresh(*one))
        for (kind, name), values in measured.items():
            failed = [value for value in values if isinstance(value, str)]
            if failed:
                print(f"| {kind} {name} | {failed[0]} | |")
                continue
            seconds, megabytes = zip(*values, strict=True)
            print(f"| {kind} {name} | {spread(seconds, 2)} | {spread(megabytes, 0)} |")


if __name__ == "__main__":
    main()
