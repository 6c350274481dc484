"""What each process does in test_ranks.py; started by torchrun or accelerate, never imported by pytest.

    ranks_script.py STORY[,STORY…] FOLDER

Each rank writes FOLDER/STORY/RANK.json: what it saw, and hashes of what it holds.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch  # noqa: E402
from torch import nn  # noqa: E402

import tlcourse as tl  # noqa: E402
from tests.session import conftest as given  # noqa: E402
from tlcourse.models.inspection import weights_sha256  # noqa: E402
from tlcourse.session.autosave import folder as disk
from tlcourse.session.engine import processes as ranks  # noqa: E402

RANK = int(os.environ.get("RANK", 0))
PICTURES = given.pictures._get_wrapped_function()
NUMBERS = given.numbers._get_wrapped_function()


class Plain(nn.Module):
    """Neither BatchNorm nor dropout: the mean over two halves is the mean over the whole."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 16), nn.ReLU())
            self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.body(x))


def session(model=None, **more):
    options = {"steps": 24, "lr": 1e-2, "batch_size": 16, "eval_every": 10, "seed": 5} | more
    return tl.Session(model or given.Net(seed=RANK), PICTURES(), **options)


def steered():
    """Everything that moves, and everything that goes back. Rank 1's model begins otherwise."""
    run = session(
        freeze="stem", augment=0.3, keep_mb=0.05
    )  # so little that moments are thinned out
    run.at(3, tl.SetLR("head", 3e-3))
    run.at(5, tl.Unfreeze("stem", 1e-3))
    run.at(7, tl.Freeze("body", stats=False))
    run.at(8, tl.AddLoRA("body", rank=2))
    run.at(10, tl.Twin())
    run.at(11, tl.Unfreeze("body"))
    run.at(15, tl.Rewind(4))
    run.at(18, tl.Branch("other", at=6))
    run.at(20, tl.Freeze("all"))  # refused
    run.run()
    run.send(tl.Rewind(12, branch="main"))  # and on, after the end
    run.run()
    return run


def by_hand():
    """Rank 0 alone is steered, from another thread, while the run goes on; it pauses a while."""
    run = session(steps=10**6, eval_every=10**6)
    if RANK == 0:
        ranks.BEAT_S = 0.05

        def hand():
            until(lambda: run.step > 3)
            run.send(tl.SetLR("head", 1e-4))
            run.send(tl.Pause())
            until(lambda: run.status == "paused")
            time.sleep(0.5)
            run.send(tl.Resume())
            run.send(tl.Rewind(2))
            until(
                lambda: [e.command.kind for e in run.events if e.kind == "applied"][-1] == "rewind"
            )
            run.send(tl.Stop())  # goes before all that waits

        threading.Thread(target=hand, daemon=True).start()
    run.run()
    return run


def until(true):
    while not true():
        time.sleep(0.005)


def halves():
    run = session(Plain())
    run.run()
    return run


def bf16_accumulated():
    run = session(precision="bf16", accumulate=2, batch_size=8, optimizer="sgd")
    run.at(9, tl.Rewind(3))
    run.run()
    return run


def replayed():
    run = session(augment=0.3)
    run.at(5, tl.Freeze("stem"))
    run.at(9, tl.Rewind(3))
    run.run()
    found = tl.replay(run.record, model=given.Net(), data=PICTURES())
    assert found.exact, found.text
    run.record.save(Path(sys.argv[2]) / f"{RANK}.jsonl")
    return run


def workers():
    run = session(workers=1, augment=0.5)
    run.at(9, tl.Rewind(3))
    run.run()
    return run


def saved(**more):
    run = session(augment=0.3, freeze="stem", **more)
    run.at(5, tl.Unfreeze("stem", 1e-3))
    run.at(9, tl.Rewind(3))
    return run


def whole():
    run = saved()
    run.run()
    return run


def killed():
    """Both processes die, wherever they are, once a save lies on the disk that knows the rewind."""
    folder = Path(sys.argv[2]) / "saves"

    def dies():
        until(lambda: any(tick(save) > 10 for save in disk.saves(folder)))
        os.kill(os.getpid(), signal.SIGKILL)

    def tick(save):
        try:
            return json.loads((save / "state.json").read_text())["tick"]
        except FileNotFoundError:  # an older save that was just taken away
            return 0

    run = saved(autosave=folder, autosave_s=0.0, pace=10)
    threading.Thread(target=dies, daemon=True).start()
    run.run()  # never comes back


def resumed():
    folder = Path(sys.argv[2]) / "saves"
    run = tl.resume(folder, model=given.Net(seed=RANK), data=PICTURES())
    run.run()
    return run


def differing():
    return session(batch_size=16 + RANK)


class Breaks(Plain):
    def forward(self, x):
        if self.training and RANK == 1:
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls > 5:
                raise ValueError("the wheel came off")
        return super().forward(x)


def failing():
    return session(Breaks()).run()


def silent():
    """Rank 1 falls asleep in its sixth step."""
    ranks.TIMEOUT_S = 3.0

    class Sleeps(Breaks):
        def forward(self, x):
            try:
                return super().forward(x)
            except ValueError:
                time.sleep(20)
                raise

    return session(Sleeps()).run()


def told(run):
    events = []
    for event in run.events:
        if event.kind in ("norms", "finished"):  # measured by the clock
            continue
        events.append(event.to_json())
        events[-1].pop("id", None)
        events[-1].pop("mb", None)
    return events


def main(story, folder):
    try:
        run = globals()[story]()
        said = {
            "events": told(run),
            "status": run.status,
            "weights": weights_sha256(run.model),
            "optimizer": hashlib.sha256(
                b"".join(
                    sorted(  # it is the order of unfreezing otherwise, which a resumed run does not know
                        value.numpy().tobytes()
                        for state in run._training.levers.optimizer.state.values()
                        for value in state.values()
                        if isinstance(value, torch.Tensor)
                    )
                )
            ).hexdigest(),
            "kept": [s.step for s in run._training.time.kept],
            "losses": run.result.losses.tolist(),
            "ranks": run.record.header.get("ranks"),
            "sample": run._training.batches.order.numbers(0),
        }
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    Path(folder, story).mkdir(exist_ok=True)
    Path(folder, story, f"{RANK}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    for each in sys.argv[1].split(","):
        main(each, sys.argv[2])
