"""How fast bytes come, are unpacked and are verified, beside curl, tar and sha256sum.

    python benchmarks/supply_speed.py [--rounds 5] [--mb 200]

A server of `tlcourse mirror serve`'s own, in another process on this machine; random bytes, so that
nothing is compressed; every way in turn in each round. MB/s and ratios of a round's times:
median (lowest … highest). `fetch` includes hashing, moving and the second reading that it is right.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from tlcourse.cards import Asset, Card, File
from tlcourse.supply.archive import unpack
from tlcourse.supply.bring import bring
from tlcourse.supply.download.http import Wanted, download
from tlcourse.supply.download.part import Part
from tlcourse.supply.progress import silent
from tlcourse.supply.settings import Settings
from tlcourse.supply.store import Place, verify

SERVE = """
import sys
from pathlib import Path
from tlcourse.supply.mirror.serve import Server
with Server(Path(sys.argv[1]), "127.0.0.1", 0) as server:
    print(server.url, flush=True)
    server.serve_forever()
"""
PHOTOS, PHOTO_BYTES = 1440, 14_600  # as many and as large as caltech24's
Ways = dict[str, Callable[[Path], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mb", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="supply-speed-") as place:
        root = Path(place)
        (root / "served").mkdir()
        large = random.Random(0).randbytes(asked.mb * 10**6)
        (root / "served" / "large.bin").write_bytes(large)
        command = [sys.executable, "-c", SERVE, str(root / "served")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            url = server.stdout.readline().strip() + "/large.bin"
            try:
                ways = fetch_ways(url, File("large.bin", len(large), sha256(large).hexdigest()))
                report("One file from a server", ways, len(large), root, asked.rounds)
            finally:
                server.terminate()
        ways, count = archive_ways(root)
        report("An archive of 1,440 small files", ways, count, root, asked.rounds)
        ways = verify_ways(root, root / "photos")
        report("Verifying 1,440 small files", ways, count, root, asked.rounds)
        one = File("large.bin", len(large), sha256(large).hexdigest())
        ways = verify_ways(root, root / "served", [one])
        report("Verifying one large file", ways, len(large), root, asked.rounds)


def report(title: str, ways: Ways, count: int, root: Path, rounds: int) -> None:
    """Run the ways in turn; the first one is what the others are compared with."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, act in ways.items():
            folder = root / "run"
            folder.mkdir()
            began = time.perf_counter()
            act(folder)
            seconds = time.perf_counter() - began
            shutil.rmtree(folder)
            if number:  # the first round warms caches
                times[way].append(seconds)
    first = next(iter(ways))
    print(f"\n| {title}, {count / 1e6:.0f} MB | MB/s | times as long as {first} |\n|---|---|---|")
    for way, seconds in times.items():
        ratios = [mine / its for mine, its in zip(seconds, times[first], strict=True)]
        print(f"| {way} | {spread([count / 1e6 / s for s in seconds], 0)} | {spread(ratios, 2)} |")


def spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"


def fetch_ways(url: str, file: File) -> Ways:
    card = card_of(Asset((url,), (file,)))
    wanted = Wanted(file.bytes, file.bytes)

    def curl(folder: Path) -> None:
        subprocess.run(["curl", "-sS", "-o", str(folder / "x"), url], check=True)

    def curl_and_sum(folder: Path) -> None:
        curl(folder)
        subprocess.run(["sha256sum", str(folder / "x")], check=True, stdout=subprocess.DEVNULL)

    def bare(folder: Path) -> None:
        settings = Settings(folder)
        download(
            url, Part(folder / "x.part"), wanted, settings, lambda *_: None, lambda _: None, print
        )

    return {
        "`curl`": curl,
        "`curl`, then `sha256sum`": curl_and_sum,
        "our download alone": bare,
        "`fetch`": lambda folder: bring(card, Settings(folder)),
    }


def archive_ways(root: Path) -> tuple[Ways, int]:
    dice = random.Random(1)
    for number in range(PHOTOS):
        path = root / "photos" / f"{number % 24}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(PHOTO_BYTES))
    files = files_below(root / "photos")
    with tarfile.open(root / "a.tar.gz", "w:gz", compresslevel=6) as tar:
        tar.add(root / "photos", "top")
    with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for file in files:
            packed.write(root / "photos" / file.path, f"top/{file.path}")
    sums = root / "sums"
    sums.write_text("".join(f"{file.sha256}  top/{file.path}\n" for file in files))

    def tar(folder: Path) -> None:
        subprocess.run(["tar", "-xzf", str(root / "a.tar.gz"), "-C", str(folder)], check=True)

    def tar_and_sum(folder: Path) -> None:
        tar(folder)
        subprocess.run(["sha256sum", "--quiet", "-c", str(sums)], check=True, cwd=folder)

    def ours(kind: str) -> Callable[[Path], None]:
        return lambda folder: unpack(
            root / f"a.{kind}",
            kind,
            files,
            folder / "out",
            folder / "m.tmp",
            strip=1,
            tick=lambda _: None,
        )

    ways = {
        "`tar -xzf`": tar,
        "`tar -xzf`, then `sha256sum -c`": tar_and_sum,
        "our tar.gz, hashed": ours("tar.gz"),
        "our zip, hashed": ours("zip"),
    }
    return ways, sum(file.bytes for file in files)


def verify_ways(root: Path, folder: Path, files: list[File] | None = None) -> Ways:
    files = files or files_below(folder)
    paths = [str(folder / file.path) for file in files]

    def sums(_: Path) -> None:
        subprocess.run(["sha256sum", *paths], check=True, stdout=subprocess.DEVNULL)

    def ours(fresh: Path) -> None:
        assert verify(files, Place(folder, fresh / "proofs.json"), silent) == ()

    verify(files, Place(folder, root / "proofs.json"), silent)
    return {
        "`sha256sum`": sums,
        "ours, read through": ours,
        "ours, proved before": lambda _: verify(files, Place(folder, root / "proofs.json"), silent),
    }


def files_below(folder: Path) -> list[File]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        File(str(p.relative_to(folder)), p.stat().st_size, sha256(p.read_bytes()).hexdigest())
        for p in paths
    ]


def card_of(asset: Asset) -> Card:
    text = dict.fromkeys(("title", "licence", "source_url", "citation", "description"), "")
    return Card(name="speed", kind="data", assets=(asset,), **text)


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "127.0.0.1"
    main()
