"""What a run shows of itself at a moment, as JSON for a view."""

from typing import Any

from tlcourse.session.steerable import Steerable


def seen(run: Steerable) -> dict[str, Any]:
    """What can change without an event."""
    return {"status": run.status, "twin": run.twin, "player": player(run)}


def player(run: Any) -> dict[str, Any] | None:
    """speed, playing, at, length of a recording that plays; None for what trains."""
    plays = getattr(run, "player", None)
    return None if plays is None else dict(plays)


def groups(run: Steerable) -> list[dict[str, Any]]:
    return [
        {
            "name": g.name, "parameters": g.parameters, "trainable": g.trainable, "lr": g.lr,
            "kind": g.kind, "stats": g.stats, "scale": g.scale,
        }
        for g in run.groups
    ]  # fmt: skip


def bookmarks(run: Steerable) -> list[dict[str, Any]]:
    return [
        {"name": mark.name, "branch": mark.branch, "step": mark.step, "mb": mark.mb}
        for mark in run.bookmarks
    ]


def first_branch(run: Steerable) -> str:
    return run.events[0].branch if run.events else run.branch


def first_rates(run: Steerable) -> dict[str, float]:
    """Rates at the beginning."""
    return run.began.lrs
