"""Which cockpits stood in which cell: a live cell that runs again keeps the run that was steered.

The cockpits that stood there before follow the cell's new run. So a notebook that is closed without
being saved, and opened again, shows the run that its cell has now.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from IPython import get_ipython

from tlcourse.session import Pause, Stop

if TYPE_CHECKING:
    from .widget import Cockpit


@dataclass(slots=True)
class Cell:
    """execution: the message that ran it last; places: the cockpits that stood at its first place, at
    the second …; filled: how many it has in this execution; kept: those of runs before, now below."""

    execution: str = ""
    places: list[list["Cockpit"]] = field(default_factory=list)
    filled: int = 0
    kept: list["Cockpit"] = field(default_factory=list)

    def show(self, cockpit: "Cockpit", execution: str) -> list["Cockpit"]:
        """It stands at the next place now. Returns those to show below it."""
        if execution != self.execution:
            self.execution, self.filled = execution, 0
        if self.filled == len(self.places):
            self.places.append([])
        before, below = self.places[self.filled], list(self.kept) if self.filled == 0 else []
        self.filled += 1
        if before and before[-1].run is not cockpit.run and (old := before[-1].keep()):
            self.kept.append(old)
            below.append(old)
        for other in before:
            if other is not cockpit:
                other.follow(cockpit.run)
        if cockpit not in before:
            before.append(cockpit)
        return below


_CELLS: dict[str, Cell] = {}


def shown(cockpit: "Cockpit") -> list["Cockpit"]:
    """Note that the cell that runs shows it. Returns those to show below it."""
    parent: dict[str, Any] = getattr(get_ipython(), "get_parent", dict)()
    id = parent.get("metadata", {}).get("cellId")
    execution = parent.get("header", {}).get("msg_id", "")
    return _CELLS.setdefault(id, Cell()).show(cockpit, execution) if id else []


def let_go(cockpit: "Cockpit") -> None:
    """A run that was kept is not wanted any more: nothing holds it from here on."""
    for cell in _CELLS.values():
        if cockpit in cell.kept:
            cell.kept.remove(cockpit)
            if cockpit.run.status in ("running", "paused"):
                cockpit.run.send(Stop())
            cockpit.close()


def hold(run: Any) -> None:
    """A run that is kept does not take the cores from the one that has its place."""
    if run.status == "running" and "pause" in run.can:
        run.send(Pause())
