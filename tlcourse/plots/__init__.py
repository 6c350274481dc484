"""Draws figures from events, records and arrays; never trains.

Every function returns a `Picture`: it shows itself in a notebook, has a text for those who cannot
see it, and keeps its matplotlib figure as `.figure`. No pyplot, so nothing global is touched and a
training thread or a widget's callback may run beside it.
"""

from tlcourse.plots.clouds import Projection, cloud
from tlcourse.plots.curves import curves
from tlcourse.plots.examples import predictions, texts
from tlcourse.plots.lines import label_efficiency, lines
from tlcourse.plots.pictures import mistakes, neighbours, photos
from tlcourse.plots.style import Picture

from .bars_and_confusion import bars, confusion
from .networks import activations, filters
from .projections import feature_map
from .tradeoffs import heat, movement, plane

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
