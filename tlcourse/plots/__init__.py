"""Draws figures from events, records and arrays; never trains.

Every function returns a `Picture`, which shows itself in a notebook, has a text alternative, and keeps
its matplotlib figure as `.figure`. No pyplot: nothing global changes, so a training thread or a widget's
callback may run at the same time.
"""

from tlcourse.plots.clouds import Projection, cloud
from tlcourse.plots.curves import curves
from tlcourse.plots.examples import predictions, texts
from tlcourse.plots.lines import label_efficiency, lines
from tlcourse.plots.pictures import mistakes, neighbours, photos
from tlcourse.plots.style import Picture

from .bars_and_confusion import bars, confusion
from .movement import movement
from .networks import activations, filters
from .projections import feature_map
from .tradeoffs import heat, plane

__all__ = [
    "Picture",
    "Projection",
    "activations",
    "bars",
    "cloud",
    "confusion",
    "curves",
    "feature_map",
    "filters",
    "heat",
    "label_efficiency",
    "lines",
    "mistakes",
    "movement",
    "neighbours",
    "photos",
    "plane",
    "predictions",
    "texts",
]
