"""The cockpit as a static picture, for executed notebooks where no widget runs: GitHub, nbviewer, a PDF.
An SVG on white, without scripts, style sheets or fonts."""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

from tlcourse.plots.readings import series, shares
from tlcourse.plots.timelines import MARKED, Course, Line, course_of
from tlcourse.session.commands import Rewind

from .story import Story
from .stream import thin
from .words import done

WIDTH, LEFT, RIGHT = 720, 52, 14
LOSS, ACCURACY = (56, 150), (238, 96)  # top and height of each panel, px
BOTTOM = sum(ACCURACY)
ROW, COLUMN = 15, (WIDTH - LEFT - RIGHT) / 2  # of the list at the bottom, px
POINTS = 500  # most points per curve
INK, GRID = "#57606a", "#d0d7de"
COLOURS = {"loss": "#0072b2", "accuracy": "#c25000", "twin": "#a3417c", "pale": "#6b7680"}
DASHES = {"twin": "6 3.5", "gone": "1 3"}
WIDTHS = {"now": 1.8, "twin": 1.6, "other": 1.3, "gone": 1.2}


def still(story: Story) -> str:
    """An SVG of loss, accuracy, timelines and interventions so far."""
    now = story.now()
    course = course_of(story.paths)
    total = max(now["total"] or 0, course.tip, now["step"], 1)
    top = course.top
    listed = _listed(course)
    marks = _marks(course, listed, total)
    rows = (len(listed) + 1) // 2
    height = BOTTOM + 40 + (ROW * rows + 6 if rows else 0)
    loss, accuracy = _Panel(LOSS, total, top), _Panel(ACCURACY, total, 1.0)
    parts = [
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        _text(LEFT, 20, _headline(now, course), weight="600"),
        loss.frame([(f"{top:.3g}", top), ("0", 0.0)], "training loss"),
        accuracy.frame([("100 %", 1.0), ("50 %", 0.5), ("0 %", 0.0)], "validation accuracy"),
        *marks,
        f'<svg x="{LEFT}" y="{LOSS[0] - 4}" width="{WIDTH - LEFT}" height="{LOSS[1] + 6}" '
        f'viewBox="{LEFT} {LOSS[0] - 4} {WIDTH - LEFT} {LOSS[1] + 6}">',  # it cuts off what is higher
        *(_curve(loss, line) for line in reversed(course.lines)),
        "</svg>",
        *_metered(accuracy, course),
        *(_measured(accuracy, line, course.lines[0]) for line in reversed(course.lines)),
        *_keys(course),
        _text(LEFT, BOTTOM + 16, "step 0"),
        _text(WIDTH - RIGHT, BOTTOM + 16, str(total), anchor="end"),
        *_list(listed),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="11" role="img">'
        f"<title>{escape(_headline(now, course))}</title>{''.join(parts)}</svg>"
    )


def _headline(now: dict[str, Any], course: Course) -> str:
    of = f" of {now['total']}" if now["total"] else ""
    said = [f"{now['status']} after {now['step']}{of} steps"]
    accuracies = [_valid(line) for line in (course.lines[0], *course.of("twin"))]
    if accuracies[0]:
        said.append(f"validation accuracy {accuracies[0][-1][1]:.1%}")
    if len(accuracies) > 1 and accuracies[1]:
        said.append(f"without it, in the twin, {accuracies[1][-1][1]:.1%}")
    return " · ".join(said)


# -- curves ----------------------------------------------------------------------------------------


class _Panel:
    def __init__(self, place: tuple[int, int], total: int, top: float) -> None:
        self.place, self.total, self.top = place, total, top

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.total

    def y(self, value: float) -> float:
        top, height = self.place
        return top + height * (1 - min(value / self.top, 1.2))

    def frame(self, labels: list[tuple[str, float]], title: str) -> str:
        lines = (
            f'<path d="M{LEFT} {self.y(value):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>'
            + _text(LEFT - 6, self.y(value) + 4, label, anchor="end")
            for label, value in labels
        )
        return "".join(lines) + _text(LEFT, self.place[0] - 9, title)

    def line(
        self, points: Iterable[tuple[float, float]], colour: str, role: str, faint: bool = False
    ) -> str:
        """A line with a gap where a value is not a number."""
        parts, run = [], []
        for step, value in [*points, (0, np.nan)]:
            if np.isfinite(value):
                run.append(f"{self.x(step):.1f},{self.y(value):.1f}")
            elif run:
                parts.append(run)
                run = []
        dash = f' stroke-dasharray="{DASHES[role]}"' if role in DASHES else ""
        look = f'fill="none" stroke="{colour}" stroke-width="{0.8 if faint else WIDTHS[role]}"' + (
            ' opacity="0.35"' if faint else dash
        )
        return "".join(f'<polyline points="{" ".join(run)}" {look}/>' for run in parts)


def _curve(panel: _Panel, line: Line) -> str:
    steps, smooth = line.drawn()
    kept = thin(smooth, POINTS)
    colour = COLOURS["loss"] if line.role == "now" else _colour(line)
    drawn = panel.line(zip(steps[kept], smooth[kept], strict=True), colour, line.role)
    if line.role != "now":
        return drawn
    raw = thin(line.losses, POINTS)
    points = zip(line.steps[raw], line.losses[raw], strict=True)
    return panel.line(points, colour, "now", faint=True) + drawn


def _measured(panel: _Panel, line: Line, now: Line) -> str:
    points = _valid(line)
    if not points:
        return ""
    colour = COLOURS["accuracy"] if line.role == "now" else _colour(line)
    begins = line.start[0] if line.start else 0
    shared = [point for point in _valid(now) if point[0] <= begins] if line.role != "now" else []
    if shared and shared[-1][0] < points[0][0]:
        points = [shared[-1], *points]
    if line.role not in ("now", "twin") or len(points) > 80:
        return panel.line(points, colour, line.role)
    dots = "".join(
        f'<circle cx="{panel.x(step):.1f}" cy="{panel.y(value):.1f}" r="2.5" fill="{colour}"/>'
        for step, value in points
    )
    return panel.line(points, colour, line.role) + dots


def _metered(panel: _Panel, course: Course) -> list[str]:
    """The meters' readings, and above the panel their names with the last values."""
    now, parts, x = course.lines[0], [], float(WIDTH - RIGHT)
    for name, colour in reversed(shares(course).items()):
        for line in course.lines:
            points = list(zip(*series(now, line, name), strict=True))
            if points and line.role in ("now", "twin", "other"):
                parts.append(panel.line(points, colour, line.role, faint=line.role == "other"))
        last = series(now, now, name)[1][-1:]
        text = name + "".join(f" {value:.1%}" for value in last)
        x -= 6.2 * len(text)
        parts.append(_text(x, ACCURACY[0] - 9, text))
        key = f"M{x - 24:.0f} {ACCURACY[0] - 13}h18"
        parts.append(f'<path d="{key}" stroke="{colour}" stroke-width="2"/>')
        x -= 42
    return parts


def _valid(line: Line) -> list[tuple[float, float]]:
    seen = [e for e in line.evaluations if e.split == "valid" and np.isfinite(e.accuracy)]
    return [(e.step, e.accuracy) for e in seen]


def _colour(line: Line) -> str:
    return COLOURS["twin" if line.role == "twin" else "pale"]


def _keys(course: Course) -> list[str]:
    """If there is more than one line, a legend at the top right of the loss."""
    roles = {line.role: line for line in reversed(course.lines)}
    if len(course.lines) == 1:
        return []
    others = list(dict.fromkeys(line.name for line in course.of("other")))
    named = {
        "now": f"{course.now} (now)", "other": ", ".join(others), "twin": "twin: without",
        "gone": "given up",
    }  # fmt: skip
    parts, x = [], float(WIDTH - RIGHT)
    for role in ("gone", "twin", "other", "now"):
        if role not in roles:
            continue
        text = named[role] if len(named[role]) < 34 else named[role][:32] + "…"
        x -= 6.2 * len(text)
        colour = COLOURS["loss"] if role == "now" else _colour(roles[role])
        dash = f' stroke-dasharray="{DASHES[role]}"' if role in DASHES else ""
        parts.append(_text(x, LOSS[0] - 9, text))
        start = f"M{x - 24:.0f} {LOSS[0] - 13}h18"
        parts.append(f'<path d="{start}" stroke="{colour}" stroke-width="2"{dash}/>')
        x -= 42
    return parts


# -- interventions ---------------------------------------------------------------------------------

Listed = list[tuple[float, str, str]]  # step, words, role; in order


def _listed(course: Course) -> Listed:
    """Interventions; a rewind is listed at the step that it left."""
    went = iter(course.rewinds)
    found = []
    for event, role in course.hands:
        back = isinstance(event.command, Rewind)
        at = next(went)[0] if back else event.step
        if isinstance(event.command, MARKED):
            found.append((at, done(event), "back" if back else role))
    return found


def _marks(course: Course, listed: Listed, total: int) -> list[str]:
    """Vertical lines at the current timeline's interventions; between the panels their numbers in the
    list, merged where they would overlap; bookmarks under the axis."""
    panel = _Panel(LOSS, total, 1.0)
    parts: list[str] = []
    groups: list[list[tuple[float, int, bool]]] = []
    for step, number, role, words in sorted(
        (step, number, role, words) for number, (step, words, role) in enumerate(listed, 1)
    ):
        x, pale = panel.x(step), role in ("gone", "other")
        if role == "now":
            parts.append(
                f'<path d="M{x:.1f} {LOSS[0]}V{BOTTOM}" stroke="{INK}" stroke-dasharray="3 3" '
                f'opacity="0.6"><title>{escape(words)}</title></path>'
            )
        if groups and x - groups[-1][-1][0] < 18:
            groups[-1].append((x, number, pale))
        else:
            groups.append([(x, number, pale)])
    for group in groups:
        x, pale = sum(x for x, *_ in group) / len(group), all(pale for *_, pale in group)
        text = ", ".join(str(number) for number in sorted(number for _, number, _ in group))
        y = sum(LOSS) + 9
        wide = 8 + 5.2 * len(text)
        parts.append(
            f'<rect x="{x - wide / 2:.1f}" y="{y - 7}" width="{wide:.1f}" height="14" rx="7" '
            f'fill="{"#ffffff" if pale else INK}" stroke="{INK}"/>'
            + _text(x, y + 3.2, text, "middle", colour=INK if pale else "#ffffff", size=9)
        )
    for mark in course.bookmarks:
        told = escape(f"bookmark {mark.name}, step {mark.step} of {mark.branch}")
        x = panel.x(mark.step)
        parts.append(
            f'<path d="M{x - 3.5:.1f} {BOTTOM + 3}h7v10l-3.5 -3.5l-3.5 3.5z" fill="{INK}">'
            f"<title>{told}</title></path>" + _text(x + 7, BOTTOM + 12, mark.name, size=9)
        )
    return parts


def _list(listed: Listed) -> list[str]:
    rows = (len(listed) + 1) // 2
    parts = []
    for i, (step, words, role) in enumerate(listed):
        beside = {"gone": " (given up)", "other": " (another timeline)"}.get(role, "")
        text = f"{i + 1}  step {step:g}: {words}{beside}"
        x, y = LEFT + COLUMN * (i // rows), BOTTOM + 40 + ROW * (i % rows)
        parts.append(_text(x, y, text if len(text) < 56 else text[:54] + "…"))
    return parts


def _text(
    x: float, y: float, text: str, anchor: str = "start", weight: str = "400",
    colour: str = INK, size: int = 11,
) -> str:  # fmt: skip
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}" fill="{colour}">{escape(text)}</text>'
    )
