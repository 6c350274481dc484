"""Which tier a notebook runs in: the best that can run here, or the one that TLCOURSE_TIER names.

    tier = tl.tier("01")
    tier                                                   # one line: which, and why
    data = tl.load_data(tier.pick(pocket="digits", public="caltech24"))

torch is imported only if something looks like a CUDA device.
"""

import html
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlcourse.course import recorded_hands
from tlcourse.course.syllabus import TIERS, Lesson, lesson, lessons
from tlcourse.errors import TierError
from tlcourse.spoken import command

VARIABLE = "TLCOURSE_TIER"
AS_ASKED = "as asked"


@dataclass(frozen=True)
class Tier:
    """A tier's name, and the reason for it, worded to follow `Tier pocket, `."""

    name: str
    reason: str

    def pick(self, **choices: Any) -> Any:
        """This tier's value; a tier without a value takes that of the next smaller one.

        >>> Tier("gpu", "").pick(pocket=8, public=64)
        64
        """
        if unknown := set(choices) - set(TIERS):
            raise TierError(f"No tier {min(unknown)!r}. The tiers are: {', '.join(TIERS)}.")
        for name in reversed(TIERS[: TIERS.index(self.name) + 1]):
            if name in choices:
                return choices[name]
        raise TierError(f"Nothing was given for the {self.name} tier, nor for a smaller one.")

    def live(self, steps: int, *, headless: int) -> int:
        """The steps of a run that a learner steers: `headless` where a recorded hand steers instead."""
        return headless if recorded_hands.headless() else steps

    def __repr__(self) -> str:
        return f"Tier {self.name}⟨{self._because}⟩"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        shown = f"Tier <b>{self.name}</b><data>{html.escape(self._because, quote=False)}</data>"
        return {"text/plain": repr(self), "text/html": shown}

    @property
    def _because(self) -> str:
        return f", {self.reason}" if self.reason else ""


def tier(number: str | None = None) -> Tier:
    """The tier for this lesson; without a number, for all lessons together.

    TLCOURSE_TIER is a tier's name, or `auto` (or unset) for the best whose data are here or on the
    mirror. `public` may be chosen before its data are here: loading fetches them from the web.
    Raises TierError for a tier that is unknown or cannot run here.
    """
    taught = [lesson(number)] if number is not None else lessons()
    return decide(taught, os.environ.get(VARIABLE, ""))


def decide(taught: list[Lesson], asked: str) -> Tier:
    """The tier for these lessons, when TLCOURSE_TIER is `asked`."""
    wanted = checked(asked)
    return _best(taught) if wanted == "auto" else _asked_for(wanted, taught)


def checked(asked: str) -> str:
    """The tier's name or `auto` in TLCOURSE_TIER; TierError if it is neither."""
    asked = asked.strip().lower() or "auto"
    if asked not in ("auto", *TIERS):
        raise TierError(f"{VARIABLE}={asked}: no such tier. Choose auto, {', '.join(TIERS)}.")
    return asked


def obstacle(name: str, taught: list[Lesson]) -> str | None:
    """Why this tier cannot run here now, and what to do about it; None if it can."""
    if absent := [one.number for one in taught if name not in one.tiers]:
        has = ", ".join(next(one for one in taught if one.number == absent[0]).tiers)
        return f"lesson {absent[0]} has no {name} tier; it has: {has}"
    if name == "gpu" and not has_cuda():
        return "there is no CUDA device here; choose pocket or public"
    if missing := missing_cards(name, taught):
        return lacking(missing)
    return None


def lacking(missing: list[str]) -> str:
    """What is missing, and the command that fetches it."""
    them = "it" if len(missing) == 1 else "them"
    fetching = command(f"fetch {' '.join(missing)}")
    return f"{_named(missing)} on this machine. To get {them}: {fetching}"


def _named(cards: list[str], negated: bool = True) -> str:
    """`a and b are not`: cards as a sentence's beginning."""
    return f"{_and(cards)} {'is' if len(cards) == 1 else 'are'}{' not' if negated else ''}"


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def missing_cards(name: str, taught: list[Lesson]) -> list[str]:
    """The cards of this tier that are not pinned, or neither here nor on a mirror."""
    from tlcourse import cards, supply

    wanted = dict.fromkeys(card for one in taught for card in one.cards.get(name, ()))
    unpinned = {card for card in cards.hub_names() if not cards.hub(card).pinned}
    return [card for card in wanted if card in unpinned or not supply.available(card)]


def has_cuda() -> bool:
    """Whether torch can use an NVIDIA GPU. Looks for the driver first, since importing torch is slow."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    if not (Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi")):
        return False
    import torch

    return torch.cuda.is_available()


def _best(taught: list[Lesson]) -> Tier:
    reason = ""
    for name in reversed(TIERS[1:]):
        problem = obstacle(name, taught)
        if problem is None:
            return Tier(name, origin(name, taught))
        if name == "public":
            reason = f"because {problem}"
    return Tier("pocket", reason)


def origin(name: str, taught: list[Lesson]) -> str:
    """Why a tier with nothing missing can run: its cards are here, or the mirror has them."""
    from tlcourse import supply

    cards = list(dict.fromkeys(card for one in taught for card in one.cards.get(name, ())))
    fetched = [card for card in cards if supply.path(card)]
    coming = [card for card in cards if card not in fetched]
    words = [
        f"{_named(fetched, negated=False)} here" if fetched else "",
        f"{_and(coming)} {'comes' if len(coming) == 1 else 'come'} from the mirror"
        if coming
        else "",
    ]
    return f"because {' and '.join(filter(None, words)) or 'it needs nothing more'}"


def _asked_for(name: str, taught: list[Lesson]) -> Tier:
    problem = obstacle(name, taught)
    if problem is None:
        return Tier(name, AS_ASKED)
    missing = missing_cards(name, taught)
    if missing and problem == lacking(missing):
        verb = "comes" if len(missing) == 1 else "come"
        return Tier(name, f"{AS_ASKED}; {_and(missing)} {verb} from the web")
    raise TierError(f"Tier {name}, {AS_ASKED}, cannot run: {problem}.")
