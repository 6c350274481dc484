"""Time that can be turned back: rewinds, branches, bookmarks and twins are exact."""

import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError
from tlcourse.session import Applied, Branched, Evaluated, Finished, Refused, Saved, StepDone
from tlcourse.session.timelines.snapshot import Snapshot

from .conftest import Net, mlp, of

ROOT = Path(__file__).parents[2]


def session(pictures, **more):
    options = {"steps": 30, "lr": 1e-2, "augment": 0.3, "eval_every": 10, "seed": 5} | more
    return tl.Session(Net(), pictures, **options)


def losses(run, branch="main"):
    return [(e.step, e.loss) for e in of(StepDone, run.events) if e.branch == branch]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("keep_mb", [256, 0.05])  # the second: snapshots are thinned out
def test_a_rewound_run_repeats_itself_bit_for_bit(pictures, optimizer, keep_mb):
    plain = session(pictures, optimizer=optimizer)
    plain.run()
    run = session(pictures, optimizer=optimizer, keep_mb=keep_mb)
    run.at(17, tl.Rewind(6))
    run.run()
    first, second = losses(run)[:17], losses(run)[17:]
    assert first == losses(plain)[:17] and second == losses(plain)[6:]
    assert [e.tick for e in of(StepDone, run.events)] == list(range(1, 42))  # never goes back
    assert of(Evaluated, run.events)[-1].loss == of(Evaluated, plain.events)[-1].loss
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name


def test_a_rewind_undoes_what_was_done_at_that_step_and_after(pictures):
    run = session(pictures, freeze="backbone")
    run.at(5, tl.Unfreeze("body", 1e-3))
    run.at(9, tl.SetLR("head", 1e-4))
    run.at(12, tl.Rewind(5))
    run.run()
    rewound = next(e for e in of(Applied, run.events) if isinstance(e.command, tl.Rewind))
    assert rewound.step == 5 and rewound.tick == 12
    assert rewound.frozen == ("stem", "body") and rewound.lrs == {"head": 1e-2}
    assert losses(run)[12:] == losses(ran(session(pictures, freeze="backbone")))[5:]


def ran(run):
    run.run()
    return run


def test_a_rewind_keeps_what_was_done_before(pictures):
    def steered():
        run = session(pictures, freeze="backbone")
        run.at(5, tl.Unfreeze("body", 1e-3))
        return run

    run = steered()
    run.at(20, tl.Rewind(12))
    run.run()
    assert losses(run)[20:] == losses(ran(steered()))[12:]


def test_a_bookmark_is_this_very_state_also_after_commands_of_its_step(pictures):
    run = session(pictures)
    run.at(8, tl.SetLR("head", 1e-4))
    run.at(8, tl.Save("slow head"))
    run.at(15, tl.Rewind("slow head"))
    run.run()
    saved = of(Saved, run.events)[0]
    assert saved.name == "slow head" and saved.step == 8 and saved.mb > 0
    assert [b.name for b in run.bookmarks] == ["start", "slow head"]
    assert losses(run)[15:] == losses(run)[8:15] + losses(run)[22:]
    assert of(Applied, run.events)[-1].lrs["head"] == 1e-4


def test_rewinding_restores_lora_and_heads_and_takes_them_away(pictures):
    run = session(pictures)
    run.at(6, tl.AddLoRA("backbone", rank=2, lr=1e-2))
    run.at(9, tl.SwapHead("mlp"))
    run.at(12, tl.Save("changed"))
    run.at(15, tl.Rewind(3))
    run.at(18, tl.Rewind("changed"))
    run.run()
    assert not of(Refused, run.events)
    by_tick = {e.tick: e for e in of(StepDone, run.events)}
    assert [by_tick[t].loss for t in (13, 14, 15)] == [
        e.loss for e in of(StepDone, run.events) if e.step in (13, 14, 15) and e.tick > 30
    ][:3]
    plain = ran(session(pictures))
    assert [by_tick[t].loss for t in (16, 17, 18)] == [loss for _, loss in losses(plain)[3:6]]
    assert [g.name for g in run.groups] == ["stem", "body", "lora", "head"]


def test_a_branch_shares_its_past_and_leaves_the_other_as_it_was(pictures):
    run = session(pictures)
    run.at(10, tl.Branch("low", at=4))
    run.at(4, tl.SetLR("all", 1e-2))  # in the past that both share
    run.at(8, tl.SetLR("head", 1e-5))
    run.run()
    assert of(Branched, run.events)[0].parent == "main"
    main, low = losses(run), losses(run, "low")
    assert [s for s, _ in main] == list(range(1, 11)) and low[0][0] == 5
    plain = ran(session(pictures))
    assert low == losses(plain)[4:] and main[:8] == losses(plain)[:8]
    run.send(tl.Rewind(10, branch="main"))
    run.run()
    assert run.branch == "main"
    again = session(pictures)
    again.at(8, tl.SetLR("head", 1e-5))
    assert losses(run) == losses(ran(again))
    assert {t.name: (t.parent, t.start, t.step) for t in run.timelines} == {
        "main": (None, 0, 30),
        "low": ("main", 4, 30),
    }


def test_a_twin_is_the_run_without_the_intervention(pictures):
    run = session(pictures, freeze="backbone")
    run.at(5, tl.Twin())
    run.at(9, tl.Unfreeze("body", 1e-1))
    run.run()
    without = ran(session(pictures, freeze="backbone"))
    assert losses(run, "twin") == losses(without)[9:]
    assert losses(run) != losses(without)
    mine = {(e.split, e.step): e for e in of(Evaluated, run.events) if e.branch == "twin"}
    plain = {(e.split, e.step): e for e in of(Evaluated, without.events)}
    assert {("valid", 20), ("valid", 30), ("test", 30)} <= set(mine)
    assert all(plain[at].loss == e.loss for at, e in mine.items())
    steered = ran_with(pictures, 9, tl.Unfreeze("body", 1e-1))
    assert losses(run) == losses(steered)  # and the twin changes nothing in the run beside it
    assert run.result.timelines["twin"].accuracy == without.result.accuracy


def ran_with(pictures, step, command):
    run = session(pictures, freeze="backbone")
    run.at(step, command)
    return ran(run)


@pytest.mark.parametrize(
    "command",
    [
        tl.AddLoRA("backbone", rank=2),
        tl.SwapHead(),
        tl.Freeze("stem"),
        tl.Augment(0.9),
        tl.SetLR("all", 1),
    ],
)
def test_every_intervention_leaves_its_twin_alone(pictures, command):
    run = session(pictures)
    run.at(5, tl.Twin())
    run.at(9, command)
    run.run()
    assert losses(run, "twin") == losses(ran(session(pictures)))[9:]
    assert losses(run)[9:] != losses(run, "twin")


def test_a_refusal_is_told_where_no_cockpit_shows_it(pictures):
    run = session(pictures)
    run.at(6, tl.Freeze("all"))
    with pytest.warns(UserWarning, match="Not done at step 6: Freeze.*Everything would be frozen"):
        run.run()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.run()  # once is enough


def test_a_refused_intervention_makes_no_twin(pictures):
    run = session(pictures)
    run.at(5, tl.Twin())
    run.at(6, tl.Freeze("all"))
    run.run()
    assert of(Refused, run.events) and not of(Branched, run.events)
    assert run.twin == "armed"


def test_a_finished_run_can_be_taken_back_and_replays(pictures):
    run = session(pictures, freeze="backbone")
    run.run()
    first = run.result
    run.send(tl.Rewind(20))
    run.run()
    assert run.status == "finished" and len(of(Finished, run.events)) == 2
    assert run.result.losses.tolist() == first.losses.tolist()
    with pytest.raises(CommandError, match="Rewind or Branch goes on"):
        run.send(tl.SetLR("head", 1))
    assert tl.replay(run.record, model=Net(), data=pictures).exact


def test_a_stopped_run_that_went_on_replays(pictures):
    run = session(pictures)
    run.at(7, tl.Stop())
    run.run()
    run.send(tl.Branch("again", at=2))
    run.run()
    assert run.status == "finished"
    assert tl.replay(run.record, model=Net(), data=pictures).exact


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (tl.Rewind(25), "has only reached step 10; there is no step 25 yet"),
        (tl.Rewind("nowhere"), "No bookmark 'nowhere'. There are: start"),
        (tl.Rewind(3, branch="other"), "No branch 'other'. There are: main"),
        (tl.Rewind(10), "already at step 10 of main"),
        (tl.Branch("main"), "is already a branch 'main'"),
        (tl.Save("start"), "is already a bookmark 'start'"),
        (tl.Twin(False), "no twin to end"),
        (tl.SetScale("lora", 1), "No adapter 'lora'. AddLoRA makes one"),
        (tl.SetWeight("l2", 1), "no further term 'l2'"),
        (tl.AddLoRA("backbone", layers="query"), "No layer of stem, body can take a LoRA"),
        (tl.AddLoRA("backbone", name="body"), "a group 'body' already"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(pictures, command, says):
    run = session(pictures)
    run.at(10, command)
    run.run()
    assert says in of(Refused, run.events)[0].reason
    assert losses(run) == losses(ran(session(pictures)))


def test_snapshots_stay_within_their_budget_and_bookmarks_are_never_dropped(numbers):
    def steered(keep_mb):
        run = tl.Session(mlp(), numbers, steps=60, lr=1e-2, keep_mb=keep_mb)
        run.viewed = True
        for step in range(5, 60, 5):
            run.at(step, tl.SetLR("head", 1e-3 * step))
        run.at(7, tl.Save("seven"))
        run.at(50, tl.Save("too much"))
        run.at(55, tl.Rewind("seven"))
        return ran(run)

    free, tight = steered(256), steered(0.06)
    assert free.memory["snapshots"] > 0.06 >= tight.memory["snapshots"]
    assert [b.name for b in tight.bookmarks] == ["start", "seven", "too much"]
    assert losses(tight) == losses(free)
    none = steered(0.0)
    assert "keep_mb=" in of(Refused, none.events)[0].reason


@pytest.mark.parametrize(
    "command",
    [tl.Rewind("nowhere"), tl.Rewind(50), tl.Rewind(20), tl.Branch("main"), tl.Branch("x", at=99)],
)
def test_a_run_that_is_over_stays_over_if_the_way_back_is_refused(numbers, command):
    run = tl.Session(mlp(), numbers, steps=60)
    run.at(20, tl.Stop())
    run.run()
    count = len(run.events)
    with pytest.raises(CommandError):
        run.send(command)
    assert (run.status, run.step, len(run.events)) == ("stopped", 20, count)
    assert tl.replay(run.record, model=mlp(), data=numbers).exact
    run.send(tl.Rewind(10))
    assert run.run().steps == 60


MEMORY = """
import gc, sys
import tlcourse as tl
from tests.session.conftest import make_numbers, mlp
from tests.session.shapes import BertShaped
from tlcourse.session.timelines.snapshot import Ledger, take

def held():
    lines = open("/proc/self/smaps_rollup")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))

run = tl.Session({"mlp": mlp, "bert": BertShaped}[sys.argv[1]](), make_numbers(), steps=3)
run.run()
t, told = run._training, Ledger()
some = [take(t, t.time.root) for _ in range(100)]
gc.collect()
before = held()
many = [take(t, t.time.root) for _ in range(1500)]
gc.collect()
for one in many:
    told.add(one)
print(told.own_bytes({}) / (held() - before))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("model", ["mlp", "bert"])
def test_the_memory_told_is_the_memory_held(model):
    line = [sys.executable, "-c", MEMORY, model]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert 0.8 <= float(done.stdout) <= 1.2


def test_a_run_that_is_over_and_that_nobody_looks_at_keeps_its_bookmarks_only(numbers):
    weights = {}
    for viewed in (False, True):
        run = tl.Session(mlp(), numbers, steps=60)
        run.viewed = viewed
        for step in range(5, 60, 5):
            run.at(step, tl.SetLR("head", 1e-3 * step))
        run.at(30, tl.Save("half"))
        run.run()
        assert bool(run._training.time.kept) == viewed
        assert run.memory["snapshots"] == run._training.time.held_mb
        weights[viewed] = run.memory["snapshots"]
        run.send(tl.Rewind(45))
        assert run.run().steps == 60
        again = tl.replay(run.record, model=mlp(), data=numbers)
        assert again.exact
    assert weights[False] < weights[True] / 3


def test_a_thousand_commands_cost_no_more_each_than_ten(numbers):
    """Counted, not timed: how many snapshots' tensors and histories a command looks at."""
    run = tl.Session(mlp(), numbers, steps=400, eval_every=1000)
    looked = Counter()
    for step in range(400):
        run.at(step, tl.SetLR("head", 1e-3 * (1 + step % 7)))
    time, tensors, run.viewed = run._training.time, Snapshot.tensors, True

    def counted(snapshot):
        looked[run.step] += 1
        return tensors(snapshot)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Snapshot, "tensors", counted)
        run.run()
    assert len(time.kept) >= 399 and max(looked.values()) <= 3
