"""The tier: the best that is here, or the one that was asked for; never a silent stand-in."""

import re

import pytest

from tests.course.conftest import SAMPLE
from tlcourse import supply
from tlcourse.course import Lesson, Tier, tier, tiers
from tlcourse.course.tiers import VARIABLE, decide
from tlcourse.errors import TierError

NEEDS = ["caltech24", "mobilenetv2"]


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    """An empty cache and no mirror."""
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TLCOURSE_MIRROR", raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def taught(write_lesson) -> list[Lesson]:
    return [write_lesson()]


def test_auto_takes_pocket_where_nothing_is_and_says_what_would_help(
    nothing_here, taught, monkeypatch
):
    missing = [name for name in NEEDS if not supply.available(name)]
    chosen = decide(taught, "")
    assert chosen.name == "pocket"
    assert chosen.reason == tiers_reason(missing)
    monkeypatch.setenv("TLCOURSE_COMMAND", "python start.py")
    assert decide(taught, "").reason.endswith(f": python start.py fetch {' '.join(missing)}")


def tiers_reason(missing: list[str]) -> str:
    one = len(missing) == 1
    return (
        f"because {' and '.join(missing)} {'is' if one else 'are'} not on this machine. "
        f"To get {'it' if one else 'them'}: tlcourse fetch {' '.join(missing)}"
    )


@pytest.mark.public
def test_auto_takes_public_where_a_mirror_has_it(monkeypatch, tmp_path, taught):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(supply, "path", lambda name: None)
    because = "because caltech24 and mobilenetv2 come from the mirror"
    assert decide(taught, "") == Tier("public", because)
    monkeypatch.setattr(supply, "path", lambda name: tmp_path if name == "caltech24" else None)
    because = "because caltech24 is here and mobilenetv2 comes from the mirror"
    assert decide(taught, "") == Tier("public", because)


def test_the_environment_variable_decides(nothing_here, monkeypatch):
    monkeypatch.setenv(VARIABLE, "pocket")
    assert tier() == Tier("pocket", "as asked")
    monkeypatch.setenv(VARIABLE, "huge")
    with pytest.raises(TierError, match="huge"):
        tier()


@pytest.mark.parametrize("asked", ["pocket", " Pocket ", "POCKET"])
def test_a_tier_that_is_asked_for_is_taken(nothing_here, taught, asked):
    assert decide(taught, asked) == Tier("pocket", "as asked")


def test_public_can_be_asked_for_before_it_is_here(nothing_here, taught):
    chosen = decide(taught, "public")
    assert chosen.name == "public"
    assert re.fullmatch("as asked; .*caltech24.* from the web", chosen.reason)


def test_an_unknown_tier_is_answered_with_the_choices(nothing_here, taught):
    with pytest.raises(TierError, match="TLCOURSE_TIER=large.*auto, pocket, public, gpu"):
        decide(taught, "large")


def test_a_tier_that_the_lesson_lacks_is_refused(nothing_here, taught):
    with pytest.raises(TierError, match="lesson 42 has no gpu tier; it has: pocket, public"):
        decide(taught, "gpu")


def test_no_driver_means_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert tiers.has_cuda() is False
    assert "no CUDA device" in tiers.obstacle("gpu", [])


def test_pick_takes_this_tier_or_the_next_smaller_one():
    assert Tier("public", "").pick(pocket=1, public=2) == 2
    assert Tier("gpu", "").pick(pocket=1, public=2) == 2
    assert Tier("public", "").pick(pocket=1) == 1
    with pytest.raises(TierError, match="pocket"):
        Tier("pocket", "").pick(public=2)
    with pytest.raises(TierError, match="No tier 'pubic'"):
        Tier("public", "").pick(pubic=2)


def test_a_run_for_a_hand_is_long_enough_for_one_and_short_where_nobody_is(monkeypatch):
    monkeypatch.delenv("TLCOURSE_HAND", raising=False)
    assert Tier("pocket", "").live(300, headless=40) == 300
    monkeypatch.setenv("TLCOURSE_HAND", "recorded")
    assert Tier("pocket", "").live(300, headless=40) == 40


def test_the_reason_is_marked_as_what_varies_from_machine_to_machine():
    shown = Tier("public", "because all is here & well")._repr_mimebundle_()
    assert shown["text/plain"] == "Tier public⟨, because all is here & well⟩"
    assert re.sub("<data>[^<]*</data>", "", shown["text/html"]) == "Tier <b>public</b>"
    assert "&amp;" in shown["text/html"]


def test_a_model_that_is_not_pinned_yet_is_missing_wherever_one_looks(nothing_here, write_lesson):
    from tlcourse import cards

    unpinned = next(name for name in cards.hub_names() if not cards.hub(name).pinned)
    taught = [write_lesson(SAMPLE.replace("caltech24, mobilenetv2", unpinned))]
    assert tiers.missing_cards("public", taught) == [unpinned]
    assert tiers.missing_cards("pocket", taught) == []
