import json
import math

import numpy as np
import pytest

from tlcourse.errors import ClaimFailed, CommandError
from tlcourse.measure import claim, interval, paired

NAN = math.nan


def holds(evidence, **threshold):
    try:
        return claim("01.2", "It is so.", evidence, **threshold).holds
    except ClaimFailed:
        return False


@pytest.mark.parametrize(
    "evidence, threshold, expected",
    [
        (0.15, {"at_least": 0.15}, True),  # reaching it exactly is enough
        (np.nextafter(0.15, 0), {"at_least": 0.15}, False),
        (0.15, {"at_most": 0.15}, True),
        (np.nextafter(0.15, 1), {"at_most": 0.15}, False),
        (3, {"at_least": 2, "at_most": 4}, True),
        (5, {"at_least": 2, "at_most": 4}, False),
        (NAN, {"at_least": -1e9}, False),
        (NAN, {"at_most": 1e9}, False),
        (math.inf, {"at_least": 1}, False),
        (True, {}, True),
        (False, {}, False),
        (np.bool_(True), {}, True),
        (np.bool_(False), {}, False),
        (np.float32(0.5), {"at_least": 0.5}, True),
    ],
)
def test_a_single_number_is_compared_directly(evidence, threshold, expected):
    assert holds(evidence, **threshold) is expected


def test_the_whole_interval_must_lie_on_the_right_side():
    many = interval([0.94, 0.95, 0.96])
    assert holds(many, at_least=many.low) and holds(many, at_most=many.high)
    assert not holds(many, at_least=np.nextafter(many.low, 1))
    assert not holds(many, at_most=np.nextafter(many.high, 0))
    assert not holds(many, at_least=0.945)  # the mean reaches it, the interval does not


def test_one_seed_or_a_missing_one_never_holds():
    assert not holds(interval([0.99]), at_least=0.5)
    assert not holds(interval([0.99, NAN, 0.98]), at_least=0.5)
    with pytest.raises(ClaimFailed, match="measure two seeds or more"):
        claim("01.2", "It is so.", interval([0.99]), at_least=0.5)


def test_the_printed_line_is_the_same_whatever_was_measured(capsys):
    claim("01.2", "Ten labels are enough.", interval([0.94, 0.95, 0.96]), at_least=0.9)
    claim("01.2", "Ten labels are enough.", interval([0.97, 0.98, 0.97]), at_least=0.9)
    assert capsys.readouterr().out == 2 * "01.2 holds: Ten labels are enough.\n"


def test_a_refuted_claim_prints_nothing_and_says_the_numbers(capsys):
    lift = paired(interval([0.60, 0.62, 0.61]), interval([0.53, 0.52, 0.54]))
    with pytest.raises(ClaimFailed) as caught:
        claim("01.2", "Frozen beats scratch by 15 points.", lift, at_least=0.15)
    message = str(caught.value)
    assert lift.text in message and lift.bounds in message and "at least 15 points" in message
    assert "\n" not in message and "⟨" not in message
    assert caught.value.claim.holds is False
    assert capsys.readouterr().out == ""


def test_everything_that_varies_is_marked_and_nothing_else():
    import re

    def shown(values):
        data, _ = claim("01.2", "So.", interval(values), at_least=0.5)._repr_mimebundle_()
        return [
            re.sub(r"<data>[^<]*</data>", "", data["text/html"]),
            re.sub(r"⟨[^⟩]*⟩", "", data["text/plain"]),
        ]

    assert shown([0.94, 0.95]) == shown([0.99, 0.98])
    assert "at least 50 %" in shown([0.94, 0.95])[0] and "2 seeds" in shown([0.94, 0.95])[1]


def test_the_numbers_travel_as_metadata_that_json_can_hold():
    many = interval([0.94, 0.95, 0.96])
    _, metadata = claim("01.2", "So.", many, at_least=0.5)._repr_mimebundle_()
    told = json.loads(json.dumps(metadata, allow_nan=False))["tlcourse"]["claim"]
    assert told["evidence"]["values"] == [0.94, 0.95, 0.96]
    assert (told["evidence"]["low"], told["at_least"]) == (many.low, 0.5)
    with pytest.raises(ClaimFailed) as caught:
        claim("01.2", "So.", NAN, at_least=0.5)
    assert json.loads(json.dumps(caught.value.claim.as_json(), allow_nan=False))["evidence"] is None


def test_what_would_refute_it_is_said_from_the_threshold_or_by_the_author():
    assert (
        claim("01.2", "So.", 0.9, at_least=0.5, unit="percent").refuted_by == "a value below 50 %"
    )
    by_hand = claim("01.2", "So.", 0.9, at_least=0.5, refuted_by="a fair coin")
    assert by_hand.refuted_by == "a fair coin"


@pytest.mark.parametrize(
    "id, sentence, evidence, threshold, message",
    [
        ("1.2", "So.", 1.0, {"at_least": 0}, "lesson and number"),
        ("01.2", "", 1.0, {"at_least": 0}, "one sentence"),
        ("01.2", "So.\nAnd so.", 1.0, {"at_least": 0}, "one line"),
        ("01.2", "So.", 1.0, {}, "threshold fixed beforehand"),
        ("01.2", "So.", True, {"at_least": 1}, "true or false"),
        ("01.2", "So.", 1.0, {"at_least": NAN}, "a threshold that is not finite"),
        ("01.2", "So.", [1.0, 2.0], {"at_least": 0}, "not list.*interval"),
        ("01.2", "So.", np.ones(3), {"at_least": 0}, "not ndarray.*interval"),
        ("01.2", "So.", "yes", {"at_least": 0}, "not str"),
    ],
)
def test_a_claim_that_is_none_is_refused(id, sentence, evidence, threshold, message, capsys):
    with pytest.raises(CommandError, match=message):
        claim(id, sentence, evidence, **threshold)
    assert capsys.readouterr().out == ""


def test_where_all_are_asked_for_a_claim_that_fails_is_told_and_the_next_one_is_heard(
    monkeypatch, capsys
):
    monkeypatch.setenv("TLCOURSE_CLAIMS", "go on")
    failed = claim("99.1", "Pigs fly.", 0.1, at_least=0.5)
    claim("99.2", "Pigs walk.", 0.9, at_least=0.5)
    assert not failed.holds and "99.1 does not hold" in failed._html()
    assert capsys.readouterr().out == "99.1 does not hold: Pigs fly.\n99.2 holds: Pigs walk.\n"


def test_what_the_values_are_of_is_said():
    exams = [interval(values, of="exams") for values in ([0.9, 0.8, 0.85], [0.5, 0.6, 0.55])]
    found = claim("05.1", "It is so.", paired(*exams), at_least=0.0)
    assert "the mean of 3 exams" in found._repr_mimebundle_()[0]["text/html"]
    assert found.evidence.of == "exams"
