"""A run that is killed, or whose disk fails, goes on from its last good save as if nothing had been."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError, RecordError, TrainingFailed
from tlcourse.session import Applied, Evaluated, Norms, StepDone, Warned
from tlcourse.session.autosave import folder as disk

from .conftest import Net, mlp, of

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs fork and kill")

KILLS = 5
SCRIPT = """
import json, os, random, signal, sys, time, traceback
from pathlib import Path
import peft, torch
import tlcourse as tl
from tests.session.conftest import Net, make_pictures
from tests.session.test_survive import KILLS, saved_tick, steered, told, until
from tlcourse.session.autosave.saver import Autosave

options, seed = json.loads(sys.argv[1]), int(sys.argv[3])
between = Autosave.between

def child(pipe, folder, most):
    terms = {"l2": lambda model, batch: sum(p.square().sum() for p in model.parameters())}
    began = saved_tick(folder) if folder else None
    if began is not None:
        run = tl.resume(folder, model=Net(), data=make_pictures(), terms=terms)
        run.pace = 100
    else:
        more = {"autosave": folder, "autosave_s": 0, "pace": 100} if folder else {}
        run = steered(make_pictures(), terms, **options, **more)
    if most:
        def no_further(self, t):  # than that: whatever is being written, the kill comes on the way
            yield from between(self, t)
            while t.tick >= (began or 0) + most:
                time.sleep(0.01)
        Autosave.between = no_further
    os.write(pipe, f"{began or 0}\\n".encode())
    run.run()
    os.write(pipe, json.dumps(told(run)).encode())
    os._exit(0)

def life(folder=None, most=0, wait_s=0):
    "One process: (the tick it began at, what it told at its end). With `most`, it is killed before."
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child(write, folder, most)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as lines:
        began = int(lines.readline())
        if most:
            until(lambda: (saved_tick(folder) or 0) > began, 100)
            time.sleep(wait_s)
            os.kill(pid, signal.SIGKILL)
        rest = lines.read()
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == (-signal.SIGKILL if most else 0), ended
    return began, rest and json.loads(rest)

plain, draw, folder = life()[1], random.Random(seed), Path(sys.argv[2])
began_at = [life(folder, draw.randint(4, 12), draw.uniform(0, 0.15))[0] for _ in range(KILLS)]
last, survived = life(folder)
print(json.dumps([began_at + [last], plain, survived]))
"""


def steered(pictures, terms, **options):
    """Everything that can be done to a run, at steps 10 to 80."""
    run = tl.Session(
        Net(), pictures, steps=90, lr=1e-2, freeze="stem", eval_every=15, augment=0.2, seed=5,
        terms=terms, weights={"l2": 0.0}, **options,
    )  # fmt: skip
    script = [
        (8, tl.Unfreeze("stem", 1e-3)), (12, tl.Twin()), (15, tl.SetWeight("l2", 1e-3)),
        (20, tl.AddLoRA("body", rank=2)), (25, tl.Save("here")), (28, tl.SetScale("lora", 0.5)),
        (32, tl.SwapHead("mlp")), (36, tl.Branch("other", at=22)), (40, tl.Freeze("stem", stats=False)),
        (45, tl.Augment(0.6)), (50, tl.Rewind("here")), (55, tl.Twin()), (58, tl.SetLR("head", 1e-3)),
        (64, tl.Branch("third")), (70, tl.Unfreeze("body")), (76, tl.Rewind(60, branch="other")),
        (80, tl.SwapHead()),
    ]  # fmt: skip
    for step, command in script:
        run.at(step, command)
    return run


def told(run):
    """All that must be the same, and nothing that may vary."""
    state = sorted(run.model.state_dict().items())
    weights = hashlib.sha256(b"".join(v.contiguous().numpy().tobytes() for _, v in state))
    compared = [e.to_json() for e in run.events if isinstance(e, StepDone | Evaluated | Applied)]
    return {
        "events": compared,
        "weights": weights.hexdigest(),
        "outcome": run.record.outcome,
        "timelines": [str(t) for t in run.timelines],
        "bookmarks": [(b.name, b.branch, b.step) for b in run.bookmarks],
        "accuracies": {name: c.accuracy for name, c in run.result.timelines.items()},
    }


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw"},
        pytest.param({"optimizer": "sgd", "accumulate": 2}, marks=pytest.mark.release),
        pytest.param({"optimizer": "adamw", "precision": "bf16"}, marks=pytest.mark.release),
    ],
    ids=["adamw", "sgd accumulate", "bf16"],
)
def test_killed_again_and_again_it_comes_to_the_same_end(options, tmp_path):
    line = [sys.executable, "-c", SCRIPT, json.dumps(options), tmp_path / "run", "3"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    began_at, plain, survived = json.loads(done.stdout.splitlines()[-1])
    assert began_at == sorted(set(began_at)) and len(began_at) == KILLS + 1
    assert survived == plain
    assert len(list((tmp_path / "run").glob("save-*"))) == 2
    assert list((tmp_path / "run").glob(".save-*")) == []


# -- in this process ---------------------------------------------------------------------------


def session(pictures, folder=None, **more):
    options = {"steps": 30, "lr": 1e-2, "augment": 0.3, "eval_every": 10, "seed": 5} | more
    if folder:
        options |= {"autosave": folder, "autosave_s": 0}
    return tl.Session(Net(), pictures, **options)


def losses(run):
    return [e.loss for e in of(StepDone, run.events)]


@pytest.fixture(scope="module")
def half(pictures, tmp_path_factory):
    """A folder with two saves of a run that was copied while it was paused at step 12."""
    folder = tmp_path_factory.mktemp("half") / "run"
    run = session(pictures, folder)
    run.at(12, tl.Pause())
    run.at(20, tl.Freeze("stem"))
    run.start()
    until(lambda: run.status == "paused" and saved_tick(folder) == 12 and held(folder))
    until(lambda: len(disk.saves(folder)) == 2)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    run.send(tl.Stop())
    run.run()
    return copy


@pytest.fixture
def copied(half, tmp_path):
    return Path(shutil.copytree(half, tmp_path / "run"))


def until(fact, seconds=100):
    ends = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < ends
        time.sleep(0.005)


def saved_tick(folder):
    return _state(folder)["tick"]


def held(folder):
    return _state(folder)["paused"]


def _state(folder):
    for save in disk.saves(folder):
        try:
            return json.loads((save / "state.json").read_text())
        except OSError:  # a moment ago it was one too many
            continue
    return {"tick": None, "paused": None}


def untouched(pictures):
    run = session(pictures)
    run.at(20, tl.Freeze("stem"))
    run.start()  # as the killed one: in a thread of its own, with as many torch threads
    run.run()
    return run


def gone_on(run):
    run.send(tl.Resume())
    run.run()
    return run


def test_a_save_changes_nothing_in_the_run(pictures, tmp_path):
    saved, plain = session(pictures, tmp_path / "run"), session(pictures)
    assert saved.run().losses.tolist() == plain.run().losses.tolist()
    assert saved.record.outcome == plain.record.outcome
    assert sorted(p.name for p in (tmp_path / "run").iterdir() if p.is_dir()) == [
        p.name for p in sorted(disk.saves(tmp_path / "run"))
    ]
    assert len(disk.saves(tmp_path / "run")) == 2


def test_a_paused_run_comes_back_paused_with_its_plans(copied, pictures):
    run = tl.resume(copied, model=Net(), data=pictures)
    assert run.status == "ready" and run.step == 12 and len(losses(run)) == 12
    assert run.resumed_from == disk.saves(copied)[0]
    run.start()
    until(lambda: run.status == "paused")
    assert run.step == 12
    plain = untouched(pictures)
    assert losses(gone_on(run)) == losses(plain)
    assert tl.replay(run.record, model=Net(), data=pictures).exact
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name


def test_a_resumed_run_can_be_taken_back_to_before_it_was_killed(copied, pictures):
    run = tl.resume(copied, model=Net(), data=pictures)
    run.at(15, tl.Rewind(5))
    gone_on(run)
    plain = untouched(pictures)
    assert losses(run)[15:] == losses(plain)[5:20] + losses(run)[30:]
    assert run.result.steps == 30


def test_a_run_that_was_over_is_over_and_can_be_taken_back(pictures, tmp_path):
    run = session(pictures, tmp_path / "run")
    first = run.run()
    again = tl.resume(tmp_path / "run", model=Net(), data=pictures)
    assert again.status == "finished"
    assert again.result.losses.tolist() == first.losses.tolist()
    assert again.result.accuracy == first.accuracy and again.result.seconds == first.seconds
    assert [type(e) for e in again.events] == [type(e) for e in run.events]
    with pytest.raises(CommandError, match="Rewind or Branch goes on"):
        again.send(tl.SetLR("head", 1))
    again.send(tl.Rewind(20))
    again.run()
    assert len(losses(again)) == 40
    assert again.result.losses.tolist() == first.losses.tolist()
    assert tl.replay(again.record, model=Net(), data=pictures).exact


def test_its_record_lies_beside_it(copied, pictures):
    record = tl.Record.load(disk.saves(copied)[0] / "record.jsonl")
    assert record.commands == [(12, tl.Pause())] and record.outcome is None


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("state.safetensors", flip, "state.safetensors is damaged"),
        ("state.safetensors", cut, "state.safetensors is damaged"),
        ("state.json", flip, "state.json is damaged"),
        ("record.jsonl", cut, "record.jsonl is damaged"),
        ("record.jsonl", Path.unlink, "record.jsonl is missing"),
        ("SHA256SUMS", Path.unlink, "SHA256SUMS is missing"),
        ("SHA256SUMS", lambda path: path.write_text(""), "SHA256SUMS is cut short"),
        ("SHA256SUMS", lambda path: path.write_text("no"), "is not a list of hashes"),
    ],
)
def test_a_damaged_save_is_named_and_the_one_before_it_taken(copied, pictures, file, damage, says):
    newest, before = disk.saves(copied)
    damage(newest / file)
    with pytest.warns(UserWarning, match=f"{says}.* The save before it was used"):
        run = tl.resume(copied, model=Net(), data=pictures)
    assert run.resumed_from == before
    assert says in of(Warned, run.events)[0].text
    run.start()
    until(lambda: run.status == "paused")  # as was planned
    gone_on(run)
    plain = untouched(pictures)
    assert losses(run) == losses(plain)
    assert newest not in disk.saves(copied)


def test_without_a_good_save_it_says_what_is_wrong_with_each(copied, pictures):
    newest, before = disk.saves(copied)
    flip(newest / "state.safetensors")
    (before / "state.json").unlink()
    with pytest.raises(RecordError, match="No autosave .* is valid.*damaged.*missing"):
        tl.resume(copied, model=Net(), data=pictures)
    with pytest.raises(RecordError, match="There is no autosave in"):
        tl.resume(copied / "nowhere")


def test_another_model_or_other_data_are_refused(copied, pictures):
    with pytest.raises(RecordError, match="does not start from the recorded weights"):
        tl.resume(copied, model=Net(seed=1), data=pictures)
    with pytest.raises(RecordError, match="model cannot be recreated .* model=…"):
        tl.resume(copied, data=pictures)
    turned = type(pictures)(
        **{
            f: getattr(pictures, f) for f in ("name", "title", "valid", "test", "classes", "recipe")
        },
        train=type(pictures.train)(pictures.train.x.flip(0), pictures.train.y, pictures.train.ids),
    )
    with pytest.raises(RecordError, match="not those that the run .* was trained on"):
        tl.resume(copied, model=Net(), data=turned)


def test_what_was_half_written_is_cleaned_away(copied, pictures):
    (copied / ".save-000099.part").mkdir()
    (copied / ".save-000099.part" / "state.json").write_text("{")
    gone_on(tl.resume(copied, model=Net(), data=pictures))
    assert not (copied / ".save-000099.part").exists() and len(disk.saves(copied)) == 2


def test_a_run_that_is_not_over_is_not_written_over(copied, pictures):
    with pytest.raises(CommandError, match="holds an unfinished run .*tl.resume"):
        session(pictures, copied)
    gone_on(tl.resume(copied, model=Net(), data=pictures))
    session(pictures, copied).run()


def test_two_runs_do_not_save_to_one_folder(copied, pictures):
    one = tl.resume(copied, model=Net(), data=pictures)
    other = tl.resume(copied, model=Net(), data=pictures)
    one.start()
    until(lambda: one.resumed_from != disk.saves(copied)[0])
    with pytest.raises(TrainingFailed, match="Another run is saving to"):
        other.run()
    with pytest.raises(CommandError, match="Another run is saving to"):
        session(pictures, copied)
    gone_on(one)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root and mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_once_and_harms_neither_run_nor_save(pictures, small_disk):
    folder, thief = small_disk / "run", small_disk / "thief"
    seen = {}

    def somebody(model, batch):
        if batch.step == 10:
            with open(thief, "wb", buffering=0) as file:
                while file.write(bytes(4096)) == 4096:
                    pass
        return batch.logits.sum() * 0

    def steal(model, batch):
        try:
            return somebody(model, batch)
        except OSError:  # the disk is full, as was wanted
            seen["good"] = disk.saves(folder)
            return batch.logits.sum() * 0

    run = session(pictures, folder, terms={"thief": steal}, pace=200)
    run.run()
    plain = session(pictures)
    plain.run()
    assert run.status == "finished" and losses(run) == losses(plain)
    (warned,) = of(Warned, run.events)
    assert "No space left on device" in warned.text and "training continues" in warned.text
    assert list(folder.glob(".save*")) == []
    resumed = tl.resume(folder, model=Net(), data=pictures, terms={"thief": steal})
    assert resumed.resumed_from in seen["good"] or resumed.step <= 11
    thief.unlink()
    resumed = tl.resume(folder, model=Net(), data=pictures, terms={"thief": lambda *_: 0})
    resumed.run()
    assert losses(resumed) == losses(plain) and len(of(Warned, resumed.events)) <= 1
    assert (
        tl.resume(folder, model=Net(), data=pictures, terms={"thief": steal}).status == "finished"
    )


def test_training_does_not_wait_for_the_disk(pictures, tmp_path, monkeypatch):
    write, writes = disk.write, []

    def slowly(*parts):
        writes.append(run.step)
        until(lambda: run.step >= 20)  # which it never is, if training waits for this
        return write(*parts)

    monkeypatch.setattr(disk, "write", slowly)
    run = session(pictures, tmp_path / "run")
    run.run()
    assert writes[0] < 20 and not of(Warned, run.events)
    assert tl.resume(tmp_path / "run", model=Net(), data=pictures).status == "finished"


def test_events_survive_with_their_order_and_terms(numbers, tmp_path):
    def small(model, batch):
        return sum(p.square().sum() for p in model.parameters())

    run = tl.Session(
        mlp(), numbers, steps=40, terms={"small": small}, autosave=tmp_path / "run", autosave_s=0
    )
    run.at(10, tl.SetWeight("small", 0.0))
    run.at(20, tl.SetWeight("small", 0.1))
    run.at(25, tl.Freeze("all"))
    run.run()
    again = tl.resume(tmp_path / "run", model=mlp(), data=numbers, terms={"small": small})
    assert [e.to_json() for e in again.events] == [e.to_json() for e in run.events]
    assert again.weights == {"small": 0.1}
    with pytest.raises(RecordError, match="further term 'small'.*terms="):
        tl.resume(tmp_path / "run", model=mlp(), data=numbers)
    other = torch.nn.functional.multi_margin_loss
    with pytest.raises(RecordError, match="loss was cross_entropy, not multi_margin_loss"):
        tl.resume(tmp_path / "run", model=mlp(), data=numbers, terms={"small": small}, loss=other)


def test_many_norms_are_thinned_on_disk():
    from tlcourse.session.eventlog import EventLog
    from tlcourse.session.record.lines import NORMS_KEPT

    n = 3 * NORMS_KEPT
    log = EventLog(
        StepDone(k, k, "main", 0.5) if k % 2 else Norms(k, k, "main", {}, {}) for k in range(2 * n)
    )
    events = tl.Record.read("\n".join(tl.Record({}, log, 1, "0" * 64).lines()), "r.jsonl").events
    assert len(of(StepDone, events)) == n and NORMS_KEPT / 2 <= len(of(Norms, events)) <= NORMS_KEPT
    assert [e.tick for e in events] == sorted(e.tick for e in events)
