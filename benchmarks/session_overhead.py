"""What does steering cost, and what is a session worth as it comes?

    python benchmarks/session_overhead.py [--rounds 31] [--threads 2] [--only mlp resnet head lora busy]

Measured where it is used: in a Jupyter kernel whose cells have used torch (see
`session/threads/cores.py`; in a fresh script a background thread looks cheaper than it is). Each
round runs, in rotating order,

    bare       the loop in the cell's thread: same batches, same fused AdamW, same memory layout
    again      the very same once more: how far apart two equal things come out on this machine
    session    the session in its own thread
    cockpit    the session with a cockpit that streams ten times a second
    tutorial   the loop as tutorials write it: DataLoader over a TensorDataset, AdamW as it comes,
               contiguous

and `busy` the MLP's session while the main thread computes in pure Python. Figures are ratios within a
round: the median over rounds, and a 95 % interval of that median (from the order of the rounds alone, so
nothing is assumed of the noise). All but the tutorial must end with the same loss, or the comparison
is refused; the tutorial's loop shuffles otherwise, so accuracies on test samples are printed beside it.
"""

import argparse
import json
import os
import statistics
import sys
from math import comb
from pathlib import Path
from queue import Empty

ROOMS = {
    "mlp": ["bare", "again", "session", "cockpit", "tutorial"],
    "resnet": ["bare", "again", "session", "cockpit", "tutorial"],
    "head": ["bare", "again", "session", "cockpit", "tutorial"],
    "lora": ["bare", "again", "session", "cockpit"],
    "busy": ["session", "busy"],
}
ALIKE = {"bare", "again", "session", "cockpit", "busy"}  # the same steps, so the same last loss

CELL_USE_TORCH = """
import torch
torch.set_num_threads({threads})
a = torch.randn(512, 512)
for _ in range(20):
    a = (a @ a).tanh()
"""

CELL_SETUP = """
import json, sys
sys.path.insert(0, {here!r})
import works
import tlcourse as tl

async def steered(work, way):
    run, clock = works.session(work)
    if way == "cockpit":
        shown = tl.Cockpit(run)
        shown._messenger.post({{"type": "hello", "view": "bench"}})  # a view looks on: stream to it
    run.start()
    if way == "busy":
        count = 0
        while run.status == "running":
            for _ in range(10_000):
                count += 1
    await run.wait()
    return clock.step_s(work.steps), works.last_loss(run), run.model
"""

CELL_ROUND = """
work, out = works.work({work!r}), {{}}
for way in works.rotated({ways!r}, {round}):
    torch.randn(256, 256) @ torch.randn(256, 256)
    if way in ("bare", "again", "tutorial"):
        loop = works.tutorial if way == "tutorial" else works.bare
        seconds, loss, model = loop(work)
    else:
        seconds, loss, model = await steered(work, way)
    out[way] = seconds, loss, works.accuracy(model, work)
print(json.dumps([work.title, out]))
"""


def execute(client, code: str, timeout_s: float = 600) -> str:
    """Run a cell in the kernel and return what it printed."""
    asked = client.execute(code)
    told = []
    while True:
        try:
            message = client.get_iopub_msg(timeout=timeout_s)
        except Empty:
            raise SystemExit(f"The kernel did not answer within {timeout_s} s.") from None
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "stream" and content["name"] == "stdout":
            told.append(content["text"])
        elif kind == "error":
            raise SystemExit("\n".join(content["traceback"]))
        elif kind == "status" and content["execution_state"] == "idle":
            return "".join(told)


def spread(values: list[float], digits: int = 3) -> str:
    """The median and its 95 % interval: with few rounds, simply the lowest and the highest."""
    ordered, n = sorted(values), len(values)
    # The chance that the median lies outside the k-th smallest and k-th largest is 2·P(Bin(n, ½) < k).
    below, k = 0.0, 0
    while k < n // 2 and 2 * (below + comb(n, k) / 2**n) <= 0.05:
        below, k = below + comb(n, k) / 2**n, k + 1
    low, high = ordered[max(k - 1, 0)], ordered[n - max(k, 1)]
    return f"{statistics.median(ordered):.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"


def measure(client, name: str, rounds: int) -> tuple[str, list[dict[str, list[float]]]]:
    """(title, one mapping a round from way to seconds, last loss and accuracy)."""
    work, kept = "mlp" if name == "busy" else name, []
    for number in range(rounds + 1):
        code = CELL_ROUND.format(work=work, ways=ROOMS[name], round=number)
        title, told = json.loads(execute(client, code))
        if len({loss for way, (_, loss, _) in told.items() if way in ALIKE}) != 1:
            sys.exit(f"{name}: they did not do the same work: {told}")
        print(f"  {name} round {number}: {told}", file=sys.stderr)
        kept.append(told)
    return title, kept[1:]  # the first one warms up


def ratio(rounds: list[dict[str, list[float]]], way: str, to: str) -> str:
    if way not in rounds[0] or to not in rounds[0]:
        return "—"
    return spread([told[way][0] / told[to][0] for told in rounds])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", nargs="+", default=list(ROOMS), choices=list(ROOMS))
    asked = parser.parse_args()

    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        kernel_name="python3", env=os.environ | {"PYTHONHASHSEED": "0"}
    )
    rows = {}
    try:
        execute(client, CELL_USE_TORCH.format(threads=asked.threads))
        execute(client, CELL_SETUP.format(here=str(Path(__file__).resolve().parent)))
        for name in asked.only:
            rows[name] = measure(client, name, asked.rounds)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

    import torch

    print(f"\ntorch {torch.__version__}, {asked.threads} threads, {asked.rounds} rounds\n")
    busy = rows.pop("busy", None)
    if rows:
        print(
            "| work | bare step, ms | session / bare | with cockpit / bare | bare again / bare "
            "| session / tutorial | accuracy: session | tutorial |"
        )
        print("|---|---|---|---|---|---|---|---|")
    for title, rounds in rows.values():
        bare = [told["bare"][0] for told in rounds]
        right = [
            spread([told[way][2] for told in rounds]) if way in rounds[0] else "—"
            for way in ("session", "tutorial")
        ]
        print(
            f"| {title} | {statistics.median(bare) * 1e3:.3f} | {ratio(rounds, 'session', 'bare')} "
            f"| {ratio(rounds, 'cockpit', 'bare')} | {ratio(rounds, 'again', 'bare')} "
            f"| {ratio(rounds, 'session', 'tutorial')} | {right[0]} | {right[1]} |"
        )
    if busy:
        title, rounds = busy
        print(
            f"\n{title}, while a cell counts: {ratio(rounds, 'busy', 'session')} × as long a step"
        )


if __name__ == "__main__":
    main()
