"""A claim: one sentence, a threshold fixed beforehand, and evidence that can refute it.

    lift = paired(interval(frozen), interval(scratch))
    claim("01.1", "Ten labels a class on a frozen backbone beat training from scratch by 15 points.",
          lift, at_least=0.15)

prints `01.1 holds: …`, the same line on every machine, or raises `ClaimFailed` with the numbers.
If the evidence is an interval, the *whole* interval must be on the right side of the threshold, so a
lucky mean is not enough. As the last line of a cell, a claim shows its numbers.
"""

import html
import math
import os
import re
from dataclasses import dataclass
from typing import Any

from tlcourse.errors import ClaimFailed, CommandError
from tlcourse.measure.intervals import Interval
from tlcourse.measure.units import (
    UNITS,
    as_threshold,
    json_number,
    scale,
    varying_html,
    varying_text,
    written,
)
from tlcourse.schema import FLAG, LINE, NUMBER, either, matching, object_of, one_of, or_null

_LIMIT = or_null(NUMBER)
CLAIM = {  # as `Claim.as_json` writes it
    "id": matching(r"[0-9]{2}\.[0-9]{1,9}", "lesson and number, such as 01.2"),
    "sentence": LINE,
    "holds": FLAG,
    "evidence": either(_LIMIT, FLAG, object_of({"mean": _LIMIT, "low": _LIMIT, "high": _LIMIT})),
    "unit": one_of(UNITS),
    "at_least": _LIMIT,
    "at_most": _LIMIT,
    "refuted_by": LINE,
}
GO_ON = "TLCOURSE_CLAIMS"  # "go on": a claim that fails is printed, and the notebook continues


@dataclass(frozen=True)
class Claim:
    """What was claimed, what was measured, and what would have refuted it."""

    id: str
    sentence: str
    evidence: Interval | float | bool
    at_least: float | None
    at_most: float | None
    unit: str
    refuted_by: str

    @property
    def holds(self) -> bool:
        """False if the evidence is not finite, or an interval of one seed."""
        if isinstance(self.evidence, bool):
            return self.evidence
        low, high = _bounds(self.evidence)
        return (
            math.isfinite(low)
            and math.isfinite(high)
            and (self.at_least is None or low >= self.at_least)
            and (self.at_most is None or high <= self.at_most)
        )

    @property
    def asked(self) -> str:
        """The threshold in words, fixed beforehand: `at least 15 points`."""
        if isinstance(self.evidence, bool):
            return "true"
        parts = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(
            f"{word} {as_threshold(value, self.unit)}" for word, value in parts if value is not None
        )

    def as_json(self) -> dict[str, Any]:
        """The numbers, unrounded, for a file of figures."""
        many = isinstance(self.evidence, Interval)
        return {
            "id": self.id,
            "sentence": self.sentence,
            "holds": self.holds,
            "evidence": self.evidence.as_json() if many else json_number(self.evidence),
            "unit": self.unit,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "refuted_by": self.refuted_by,
        }

    def __repr__(self) -> str:
        return self._plain()

    def _measured(self, varying: Any) -> str:
        """The evidence in words; `varying` marks what differs from machine to machine."""
        if isinstance(self.evidence, bool):
            return str(self.evidence).lower()
        if not isinstance(self.evidence, Interval):
            return varying(written(self.evidence, self.unit))
        many = self.evidence
        if many.n == 1:
            return varying(many.text)
        return (
            f"{varying(many.text)}, the mean of {many.n} {many.of}; "
            f"{many.confidence * 100:g} % interval {varying(many.bounds)}"
        )

    def _plain(self) -> str:
        return (
            f"{self.id} measured: {self._measured(varying_text)}\n"
            f"     asked beforehand: {self.asked}\n"
            f"     would be refuted by: {self.refuted_by}"
        )

    def _html(self) -> str:
        rows = (
            ("measured", self._measured(varying_html)),
            ("asked beforehand", html.escape(self.asked, quote=False)),
            ("would be refuted by", html.escape(self.refuted_by, quote=False)),
        )
        # No text or background colours, so that light and dark themes work. The bar is a mid-tone that
        # shows on both. Inline styles, because JupyterLab drops <style> in an untrusted notebook.
        bar, verdict = ("#009E73", "holds") if self.holds else ("#D55E00", "does not hold")
        lines = "".join(
            f'<div><span style="opacity: 0.72">{label}:</span> {value}</div>'
            for label, value in rows
        )
        return (
            f'<div style="border-left: 4px solid {bar}; padding: 2px 0 2px 12px; line-height: 1.6">'
            f"<div><b>{self.id} {verdict}</b></div>{lines}</div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data = {"text/html": self._html(), "text/plain": self._plain()}
        return data, {"tlcourse": {"claim": self.as_json()}}


def claim(
    id: str,
    sentence: str,
    evidence: Interval | float | bool,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    refuted_by: str | None = None,
    unit: str | None = None,
) -> Claim:
    """Print `id holds: sentence`, or raise `ClaimFailed` with the numbers.

    If TLCOURSE_CLAIMS is "go on" (`tlcourse claims` sets it), a claim that does not hold is printed as
    such and nothing is raised, so that one refuted claim does not hide the others.

    id: lesson and number, "01.2". evidence: an `Interval` (its lower bound must reach `at_least`, its
    upper bound must not exceed `at_most`), a float (compared directly; equal to the threshold is
    enough), or a bool (no threshold). unit: how a float is written. refuted_by: what would have refuted
    the claim, if the threshold alone does not say it well enough.

    >>> lift = tl.interval([0.30, 0.34, 0.33], unit="points")
    >>> result = claim("01.1", "Ten labels beat scratch by 15 points.", lift, at_least=0.15)
    01.1 holds: Ten labels beat scratch by 15 points.
    """
    evidence = _plain_evidence(evidence)
    _check_wording(id, sentence)
    _check_thresholds(id, evidence, at_least, at_most)
    unit = unit or (evidence.unit if isinstance(evidence, Interval) else "number")
    scale(unit, 0.0)
    result = Claim(id, sentence, evidence, at_least, at_most, unit, refuted_by or "")
    if not refuted_by:
        result = Claim(id, sentence, evidence, at_least, at_most, unit, _refutation(result))
    if not result.holds and os.environ.get(GO_ON) == "go on":
        print(f"{id} does not hold: {sentence}")
        return result
    if not result.holds:
        failure = ClaimFailed(_failure(result))
        failure.claim = result  # the numbers, for callers that catch it
        raise failure
    print(f"{id} holds: {sentence}")
    return result


def evidence_in_words(claim: dict[str, Any]) -> str:
    """The evidence of a claim from `as_json`: `47.2 points (39.9 … 54.5)`."""
    evidence, unit = claim["evidence"], claim["unit"]
    if isinstance(evidence, bool):
        return "true" if evidence else "false"
    if not isinstance(evidence, dict):
        return written(evidence, unit)
    low, high = (written(evidence[end], unit).split(" ")[0] for end in ("low", "high"))
    return f"{written(evidence['mean'], unit)} ({low} … {high})"


def threshold_in_words(claim: dict[str, Any]) -> str:
    """The threshold of a claim from `as_json`: `≥ 15 points`."""
    limits = (("≥", claim["at_least"]), ("≤", claim["at_most"]))
    return ", ".join(f"{s} {as_threshold(v, claim['unit'])}" for s, v in limits if v is not None)


def _plain_evidence(evidence: Any) -> Interval | float | bool:
    if isinstance(evidence, Interval | bool):
        return evidence
    if hasattr(evidence, "item") and getattr(evidence, "size", 1) != 0:
        try:
            evidence = evidence.item()  # a NumPy scalar or a tensor of one element
        except (ValueError, RuntimeError):
            pass
    if isinstance(evidence, bool):
        return evidence
    if isinstance(evidence, int | float):
        return float(evidence)
    raise CommandError(
        f"A claim's evidence is an interval, a number or a bool, not {type(evidence).__name__}: "
        "make an interval(values) of several values."
    )


def _check_wording(id: str, sentence: str) -> None:
    if not re.fullmatch(r"\d\d\.\d+", id):
        raise CommandError(f"Claim id {id!r} must be lesson and number, such as '01.2'.")
    if not sentence.strip() or "\n" in sentence:
        raise CommandError(f"Claim {id} needs one sentence on one line, not {sentence!r}.")


def _check_thresholds(
    id: str, evidence: Interval | float | bool, at_least: float | None, at_most: float | None
) -> None:
    given = [value for value in (at_least, at_most) if value is not None]
    if isinstance(evidence, bool):
        if given:
            raise CommandError(f"Claim {id} is true or false: leave out at_least and at_most.")
        return
    if not given:
        raise CommandError(f"Claim {id} needs a threshold fixed beforehand: at_least or at_most.")
    if not all(math.isfinite(value) for value in given):
        raise CommandError(f"Claim {id} has a threshold that is not finite.")


def _bounds(evidence: Interval | float) -> tuple[float, float]:
    if isinstance(evidence, Interval):
        return evidence.low, evidence.high
    return evidence, evidence


def _refutation(result: Claim) -> str:
    """What would refute it, derived from the thresholds."""
    if isinstance(result.evidence, bool):
        return "a single counter-example"
    low, high = (
        ("the lower end of the interval", "the upper end of the interval")
        if isinstance(result.evidence, Interval)
        else ("a value", "a value")
    )
    parts = []
    if result.at_least is not None:
        parts.append(f"{low} below {as_threshold(result.at_least, result.unit)}")
    if result.at_most is not None:
        parts.append(f"{high} above {as_threshold(result.at_most, result.unit)}")
    return ", or ".join(parts)


def _failure(result: Claim) -> str:
    text = (
        f"Claim {result.id} does not hold: {result.sentence} "
        f"Measured {result._measured(str)}; asked beforehand was {result.asked}."
    )
    if isinstance(result.evidence, Interval) and result.evidence.n == 1:
        text += " One seed has no interval: measure two seeds or more."
    return text
