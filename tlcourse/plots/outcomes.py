"""Results drawn over the guesses made beforehand."""

import textwrap
from collections.abc import Mapping

import numpy as np

from tlcourse.errors import DataError
from tlcourse.measure import Interval
from tlcourse.measure.units import as_threshold, written
from tlcourse.plots.style import BLUE, INK, MUTED, ORANGE, Picture, enumerated, sheet, styled


def outcomes(
    came: Mapping[str, Interval | float],
    guessed: Mapping[str, float | None],
    *,
    unit: str,
    title: str,
    sentence: str,
) -> Picture:
    """A bar for each result, with its interval as a whisker; a diamond at the guess, and a line from
    there to the result.

    came: name → Interval or number in `unit`. guessed: name → number, or None for no guess. sentence: a
    comment below the figure, marked as varying.
    """
    if not came:
        raise DataError("There is nothing to draw: give at least one result.")
    means = np.array([getattr(value, "mean", value) for value in came.values()], dtype=float)
    half = np.nan_to_num([getattr(value, "half_width", 0.0) for value in came.values()])
    own = [guessed.get(name) for name in came]
    places = np.arange(len(came))[::-1]
    heading = "\n".join(textwrap.wrap(title, 88))
    below = textwrap.wrap(sentence, 104)
    guesses = [value for value in own if value is not None]
    height = 0.75 + 0.46 * len(came) + 0.24 * heading.count("\n") + 0.2 * len(below) + 0.36
    with styled():
        figure = sheet(height, title=heading)
        axes = figure.subplots()
        axes.barh(places, means, height=0.56, color=BLUE)
        bars = half > 0  # a single number has no interval, and no whisker
        axes.errorbar(means[bars], places[bars], xerr=half[bars], fmt="none", capsize=4,
                      elinewidth=1.5, ecolor=INK, zorder=5)  # fmt: skip
        for place, mean, value in zip(places, means, own, strict=True):
            if value is not None:
                axes.plot([value, mean], [place, place], color=ORANGE, linewidth=3, zorder=4)
                axes.plot(value, place, "D", markersize=9, markerfacecolor="white",
                          markeredgecolor=ORANGE, markeredgewidth=2.4, zorder=6)  # fmt: skip
        axes.set_yticks(places, list(came), color=INK, fontsize=10)
        ends = np.nan_to_num([*(means + half), *guesses, 0.0])
        starts = np.nan_to_num([*(means - half), *guesses, 0.0])
        low, high = float(min(starts)), float(max(ends))
        margin = 0.04 * (high - low or 1)
        axes.set_xlim(low - (margin if low < 0 else 0), high + margin)
        axes.set_ylim(-0.6, len(came) - 0.4)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)
        cells = [written(value, unit).split(" (")[0] for value in came.values()]
        columns = [("came out", 10, BLUE, cells)]
        if guesses:
            words = ["–" if value is None else as_threshold(_rounded(value), unit) for value in own]
            columns.append(("◇ guess", 26 + 6.2 * max(map(len, cells)), ORANGE, words))
        for head, at, colour, cells in columns:
            rows = [
                (len(came) - 0.35, head, colour),
                *((p, c, INK) for p, c in zip(places, cells, strict=True)),
            ]
            for place, text, ink in rows:
                axes.annotate(text, (1, place), (at, 0), xycoords=axes.get_yaxis_transform(),
                              textcoords="offset points", va="center", fontsize=9.5, color=ink,
                              weight="normal" if ink == INK else "bold")  # fmt: skip
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
        figure.supxlabel("\n".join(below), x=0.02, ha="left", fontsize=10, color=MUTED)
    rows = [
        f"{name} ⟨{written(value, unit)}⟩"
        + ("" if guess is None else f" (guessed {as_threshold(_rounded(guess), unit)})")
        for (name, value), guess in zip(came.items(), own, strict=True)
    ]
    return Picture(figure, f"{title} What came out: {enumerated(rows)}. ⟨{sentence}⟩")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
