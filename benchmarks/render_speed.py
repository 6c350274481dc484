"""Images a second of the renderer of `surfaces`, and what reading a whole line costs.

    python benchmarks/render_speed.py [--size 64] [--rounds 5] [--batches 20]

In turn: one process on one thread; two such processes at once, as two workers of a loader are. Images
a second, median (lowest … highest) over the rounds. Then `load_data("surfaces")` once, on one thread
and on two.
"""

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from tlcourse.data import load_data
from tlcourse.data.render.surface.render import BATCH, render


def drawn(batches: int, size: int, seed: int) -> float:
    """Seconds for so many batches on one thread, after a first one that warms up."""
    torch.set_num_threads(1)
    render("line-a", 0, size, seed)
    began = time.perf_counter()
    for number in range(batches):
        render("line-a", number, size, seed)
    return time.perf_counter() - began


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} … {max(values):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=20)
    asked = parser.parse_args()

    one, two = [], []
    images = asked.batches * BATCH
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for number in range(asked.rounds):
            one.append(images / pool.submit(drawn, asked.batches, asked.size, number).result())
            jobs = [pool.submit(drawn, asked.batches, asked.size, number + k) for k in (100, 200)]
            two.append(sum(images / job.result() for job in jobs))
    print(f"{asked.size} px, {images} images a round\n")
    print("| on | images a second |\n|---|---|")
    print(f"| one core | {spread(one)} |\n| two cores | {spread(two)} |\n")

    for threads, line in ((1, "line-a"), (2, "line-b")):  # another line, which is not in memory yet
        torch.set_num_threads(threads)
        began = time.perf_counter()
        data = load_data("surfaces", size=asked.size, domain=line)
        count = sum(len(split) for split in (data.train, data.valid, data.test))
        print(f"load_data, {threads} thread: {count} images in {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
