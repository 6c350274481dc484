"""What does steering cost? Session against a bare PyTorch loop on the same work.

    python benchmarks/session_overhead.py [--rounds 7] [--threads 2] [--only mlp resnet head]

Measured where it is used: in a Jupyter kernel whose cells have used torch (see `session/threads.py`;
in a fresh script a background thread looks cheaper than it is). Each round runs
the bare loop in the cell's thread, the session in its own thread, and the session with the cockpit
streaming at 10 Hz, in rotating order; figures are ratios within a round: median (lowest … highest).
Both sides draw the same batches and take the same steps with the same fused optimizer; the last loss
must be equal, or the comparison is refused.
"""

import argparse
import json
import os
import statistics
import sys
from queue import Empty

CELL_USE_TORCH = """
import torch
torch.set_num_threads({threads})
a = torch.randn(512, 512)
for _ in range(20):
    a = (a @ a).tanh()
"""

CELL_SETUP = """
import asyncio, copy, time
import torch.nn.functional as F
from torch import nn
import tlcourse as tl
from tlcourse.data import Data, Split
from tlcourse.session.batches import Batches
from tlcourse.session.keys import fold_in

def data_of(x, y, classes):
    part = lambda n: Split(x[:n], y[:n], tuple(map(str, range(n))))
    return Data("bench", "bench", part(len(y)), part(1), part(1), classes, {{}})

def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))

g = torch.Generator().manual_seed(0)
pictures = lambda n, side: torch.randint(0, 256, (n, 3, side, side), generator=g, dtype=torch.uint8)
labels = lambda n, c: torch.arange(n) % c
WORK = {{
    "mlp": (mlp, data_of(torch.randn(512, 16, generator=g), labels(512, 4), tuple("abcd")), 3000, ()),
    "resnet": (lambda: tl.load_model("timm/resnet10t", classes=10, pretrained=False),
               data_of(pictures(128, 64), labels(128, 10), tuple("abcdefghij")), 20, ()),
    "head": (lambda: tl.load_model("mobilenetv2", classes=10),
             data_of(pictures(128, 96), labels(128, 10), tuple("abcdefghij")), 20, "backbone"),
}}

def bare(model, data, steps, freeze):
    if freeze:
        model.requires_grad_(False); model.head.requires_grad_(True)
    model.train()
    if freeze:
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._NormBase): m.eval()
    batches = Batches(data.train.x, data.train.y, 32, 0, torch.device("cpu"), False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad],
                                  lr=1e-3, weight_decay=0.01, fused=True)
    began = time.perf_counter()
    for step in range(steps):
        x, y = batches.at(step)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        last = loss.item()
    return (time.perf_counter() - began) / steps, last

async def steered(model, data, steps, freeze, cockpit):
    run = tl.Session(model, data, steps=steps, lr=1e-3, freeze=freeze, eval_every=steps, seed=0)
    if cockpit:
        shown = tl.Cockpit(run)
        shown._messenger.post({{"type": "hello", "view": "bench"}})  # a view looks on: stream to it
    run.start()
    await run.wait()
    evaluating = min(time_evaluations(run), 0.5)
    return (run.events[-1].seconds - evaluating) / steps, run.result.losses[-1]

def time_evaluations(run):
    began = time.perf_counter()
    run._training.evaluate(run.data.valid); run._training.evaluate(run.data.test)
    return time.perf_counter() - began
"""

CELL_ROUND = """
made, data, steps, freeze = WORK[{work!r}]
order = ["bare", "session", "cockpit"]
order = order[{round} % 3:] + order[:{round} % 3]
out = {{}}
for way in order:
    model = made()
    if way == "bare":
        torch.randn(256, 256) @ torch.randn(256, 256)
        out[way] = bare(model, data, steps, freeze)
    else:
        out[way] = await steered(model, data, steps, freeze, way == "cockpit")
import json
print(json.dumps(out))
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
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", nargs="+", default=["mlp", "resnet", "head"])
    asked = parser.parse_args()

    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(
        kernel_name="python3", env=os.environ | {"PYTHONHASHSEED": "0"}
    )
    try:
        execute(client, CELL_USE_TORCH.format(threads=asked.threads))
        execute(client, CELL_SETUP.format())
        rows = []
        for work in asked.only:
            rounds = []
            for number in range(asked.rounds + 1):
                told = json.loads(execute(client, CELL_ROUND.format(work=work, round=number)))
                if len({loss for _, loss in told.values()}) != 1:
                    sys.exit(f"{work}: the two did not do the same work: {told}")
                rounds.append({way: seconds for way, (seconds, _) in told.items()})
                print(f"  {work} round {number}: {told}", file=sys.stderr)
            rounds = rounds[1:]  # the first one warms up
            rows.append(
                (
                    work,
                    statistics.median(r["bare"] for r in rounds) * 1e3,
                    spread([r["session"] / r["bare"] for r in rounds]),
                    spread([(r["session"] - r["bare"]) * 1e6 for r in rounds], 1),
                    spread([r["cockpit"] / r["bare"] for r in rounds]),
                )
            )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

    import torch

    print(f"\ntorch {torch.__version__}, {asked.threads} threads, {asked.rounds} rounds\n")
    print(
        "| work | bare step, ms | session / bare | session − bare, µs a step | with cockpit / bare |"
    )
    print("|---|---|---|---|---|")
    for work, ms, ratio, extra, cockpit in rows:
        print(f"| {work} | {ms:.3f} | {ratio} | {extra} | {cockpit} |")


if __name__ == "__main__":
    main()
