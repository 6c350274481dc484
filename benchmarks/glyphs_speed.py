"""Pictures a second of the renderer of `glyphs`, and what reading all of them costs.

    python benchmarks/glyphs_speed.py [--size 32] [--rounds 5]

In turn: one process on one thread; two such processes at once, as two workers of a loader are.
Median (lowest … highest) over the rounds, of 100 characters × 40 pictures each time. Then
`load_data("glyphs")` in a process that has drawn nothing yet.
"""

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from tlcourse.data import load_data
from tlcourse.data.sources.glyphs import COPIES, draw, scripts

CHARACTERS = 100


def drawn(size: int, seed: int) -> float:
    """Seconds for the characters on one thread, after a first time that reads the fonts."""
    torch.set_num_threads(1)
    some = "".join(scripts().values())[:CHARACTERS]
    draw(some, size, seed=-1)
    began = time.perf_counter()
    draw(some, size, seed=seed)
    return time.perf_counter() - began


def read(size: int) -> tuple[str, float]:
    torch.set_num_threads(1)
    began = time.perf_counter()
    data = load_data("glyphs", size=size)
    return repr(data), time.perf_counter() - began


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} … {max(values):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()

    one, two = [], []
    pictures = CHARACTERS * COPIES
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for number in range(asked.rounds):
            one.append(pictures / pool.submit(drawn, asked.size, number).result())
            jobs = [pool.submit(drawn, asked.size, number + k) for k in (100, 200)]
            two.append(sum(pictures / job.result() for job in jobs))
    print(f"{asked.size} px, {pictures} pictures a round\n")
    print("| on | pictures a second |\n|---|---|")
    print(f"| one core | {spread(one)} |\n| two cores | {spread(two)} |\n")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        data, seconds = pool.submit(read, asked.size).result()
    print(f"load_data: {data} in {seconds:.2f} s, one thread, the first time")


if __name__ == "__main__":
    main()
