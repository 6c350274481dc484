"""The cockpit as a picture, for readers of an executed notebook where no widget can run."""

from html import escape

import numpy as np

from .story import Story
from .stream import thin

WIDTH, LEFT, RIGHT = 720, 52, 12
LOSS, ACCURACY = (34, 150), (182, 96)  # top and height of each panel, px
INK, GRID, BLUE, ORANGE, PURPLE = "#57606a", "#d0d7de", "#0072b2", "#d55e00", "#8250df"


def still(story: Story) -> str:
    """SVG of loss, accuracy and interventions, readable on light and dark (it brings its ground)."""
    now = story.now()
    total = max(now["total"] or 0, now["tick"], 1)
    steps, losses = next(iter(story.streams.values())).curve()
    kept = thin(losses, 600)
    ticks, values = steps[kept], losses[kept]
    finite = values[np.isfinite(values)]
    # As in curve.js: a run that explodes leaves the frame and does not press its past flat.
    top = min(float(finite.max()), max(2.5 * float(finite[0]), 3.0)) if len(finite) else 1.0
    valid = [e for e in story.evals if e["split"] == "valid" and e["accuracy"] is not None]

    def x(tick: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * tick / total

    def y(panel: tuple[int, int], share: float) -> float:
        return panel[0] + panel[1] * (1 - share)

    loss_points = [
        (x(t), y(LOSS, min(v / top, 1.1)))
        for t, v in zip(ticks, values, strict=True)
        if np.isfinite(v)
    ]
    accuracy_points = [(x(e["tick"]), y(ACCURACY, e["accuracy"])) for e in valid]
    parts = [
        f'<rect width="{WIDTH}" height="310" rx="6" fill="#ffffff"/>',
        _text(LEFT, 20, _headline(now, valid), weight="600"),
        _frame(LOSS, [(f"{top:.3g}", 1.0), ("0", 0.0)], "training loss"),
        _frame(ACCURACY, [("100 %", 1.0), ("0 %", 0.0)], "validation accuracy"),
        *(_mark(x(note["tick"]), note["text"]) for note in story.notes if _steers(note)),
        _line(loss_points, BLUE, 1.2),
        _line(accuracy_points, ORANGE, 2),
        *(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{ORANGE}"/>'
            for a, b in accuracy_points
        ),
        _text(LEFT, 298, "step 0"),
        _text(WIDTH - RIGHT, 298, f"{total}", anchor="end"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 310" width="{WIDTH}" '
        f'font-family="system-ui, sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _headline(now: dict, valid: list[dict]) -> str:
    reached = f" · validation accuracy {valid[-1]['accuracy']:.1%}" if valid else ""
    return f"{now['status']} after {now['step']} of {now['total']} steps{reached}"


def _steers(note: dict) -> bool:
    return note["ok"] and note["kind"] != "evaluate"


def _frame(panel: tuple[int, int], labels: list[tuple[str, float]], title: str) -> str:
    top, height = panel
    lines = "".join(
        f'<path d="M{LEFT} {top + height * (1 - at):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>'
        + _text(LEFT - 6, top + height * (1 - at) + 4, label, anchor="end")
        for label, at in labels
    )
    return lines + _text(WIDTH - RIGHT, top + 12, title, anchor="end")


def _mark(x: float, text: str) -> str:
    return (
        f'<path d="M{x:.1f} {LOSS[0]}V{sum(ACCURACY)}" stroke="{PURPLE}" stroke-dasharray="3 3">'
        f"<title>{escape(text)}</title></path>"
    )


def _line(points: list[tuple[float, float]], colour: str, width: float) -> str:
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "400") -> str:
    return (
        f'<text x="{x}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{INK}">{escape(text)}</text>'
    )
