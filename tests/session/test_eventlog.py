"""A log of events is a list of them in little memory, and its file gives the same list back."""

import json
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tlcourse as tl
from tlcourse.session import Applied, Evaluated, Metered, Moved, Norms, StepDone, Warned
from tlcourse.session.eventlog import EventLog
from tlcourse.session.record.lines import event_of, plain, row_of
from tlcourse.session.state import GroupState, RunState

NUMBERS = st.floats(width=32)
NAMES = st.sampled_from(["main", "other", "twin"])
TERMS = st.none() | st.dictionaries(st.sampled_from(["l2", "mmd"]), NUMBERS, min_size=1)
WHOLE = st.integers(0, 50)
STATE = RunState((GroupState("head", 3, True, 0.1, 0),), {"l2": 0.5}, None)
EVENTS = st.lists(
    st.one_of(
        st.builds(StepDone, WHOLE, WHOLE, NAMES, NUMBERS, TERMS),
        st.builds(StepDone, WHOLE, WHOLE, NAMES, NUMBERS),
        st.builds(Evaluated, WHOLE, WHOLE, NAMES, st.just("test"),
                  st.dictionaries(st.sampled_from(["accuracy", "loss", "f1"]), NUMBERS)),
        st.builds(Moved, WHOLE, WHOLE, NAMES, WHOLE, st.dictionaries(NAMES, NUMBERS)),
        st.builds(Norms, WHOLE, WHOLE, NAMES, st.just({"head": 1.0}), st.just({})),
        st.builds(Metered, WHOLE, WHOLE, NAMES, st.text(max_size=3),
                  st.floats(allow_nan=False, allow_infinity=False)),
        st.builds(Warned, WHOLE, WHOLE, NAMES, st.text()),
        st.builds(Applied, WHOLE, WHOLE, NAMES, st.just(tl.SetLR("head", 0.1)), st.none(),
                  WHOLE, WHOLE, st.just(STATE)),
    )
)  # fmt: skip


def alike(one, other):
    return list(map(repr, one)) == list(map(repr, other))  # NaN is not equal to itself


@settings(max_examples=150)
@given(EVENTS, st.integers(-60, 60), st.integers(-60, 60), st.sampled_from([1, 2, -1]))
def test_it_is_a_list(events, start, stop, stride):
    log = EventLog(events[:3])
    log += events[3:]
    assert len(log) == len(events) and alike(log, events)
    assert alike(reversed(log), events[::-1])
    assert alike(log[start:stop:stride], events[start:stop:stride])
    assert alike([log[n] for n in range(-len(events), len(events))], events + events)
    assert alike(log.head(stop % 9), events[: stop % 9])
    for wrong in (len(events), -len(events) - 1):
        with pytest.raises(IndexError):
            log[wrong]


LANES = [["main"], ["main", "twin"], ["other"]]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(LANES), st.integers(1, 9), TERMS, st.booleans())), st.data()
)
def test_a_file_gives_it_back(parts, data):
    """Steps of any timelines side by side, broken off anywhere, with other events between."""
    began = tl.session.Branched
    events = [
        Applied(0, 0, "main", tl.SetLR("head", 0.1), None, 3, 3, STATE),
        began(0, 0, "twin", "main", True),
        Applied(0, 0, "other", tl.Branch("other"), None, 3, 3, STATE),
        began(0, 0, "other", "main", False),
    ]
    tick, steps = 0, dict.fromkeys(["main", "twin", "other"], 0)
    for lanes, count, terms, warns in parts:
        for _ in range(count):
            tick += 1
            for name in lanes:
                steps[name] += 1
                events.append(StepDone(tick, steps[name], name, data.draw(NUMBERS), terms))
        if warns:
            steps["main"] = max(0, steps["main"] - 3)
            events.append(Warned(tick, steps["main"], "main", "gone back"))
    record = tl.session.record.record.record_of({}, EventLog(events))
    text = "\n".join(record.lines())
    again = tl.Record.read(text, "r.jsonl")
    assert alike(again.events, events) and again.losses_sha256 == record.losses_sha256
    assert again.lines() == record.lines()


@settings(max_examples=100)
@given(EVENTS)
def test_an_event_is_a_row_and_a_row_an_event(events):
    for event in events:
        if not isinstance(event, StepDone):
            assert repr(event_of(json.loads(json.dumps(plain(row_of(event)))))) == repr(event)


def test_a_step_takes_little_memory():
    count = 100_000
    log = EventLog(StepDone(n, n, "main", 0.5) for n in range(count))
    held = sum(
        sys.getsizeof(getattr(log, name)) for name in ("_ticks", "_steps", "_losses", "_lane")
    )
    assert held / count <= 40
    assert np.array_equal(log.columns()["step"], np.arange(count))


def test_one_thread_reads_while_another_writes():
    log, wrong = EventLog(), []

    def look():
        while len(log) < 20_000:
            seen = log[max(0, len(log) - 50) :]
            wrong.extend(e for e in seen if isinstance(e, StepDone) and e.step != e.tick + 1)
            log.columns(), log.others

    reader = threading.Thread(target=look)
    reader.start()
    for n in range(20_000):
        terms = {"l2": 1.0} if n % 1000 > 500 else None
        log.append(StepDone(n, n + 1, "main", 0.5, terms) if n % 7 else Warned(n, n, "main", "x"))
    reader.join()
    assert not wrong and len(log) == 20_000
