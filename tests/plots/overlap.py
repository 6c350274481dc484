"""Whether the words of a figure can be read: none runs out of the sheet, none lies on another."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def words(picture):
    """(text, left, bottom, right, top) of every text that is drawn, in pixels of the figure."""
    figure = picture.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    hidden = {text for axes in figure.axes for text in _undrawn(axes)}
    found = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in hidden:
            box = text.get_window_extent(renderer)
            found.append((text.get_text(), box.x0, box.y0, box.x1, box.y1))
    return found


def unreadable(picture):
    """What is wrong with the places of the words, in sentences."""
    found = words(picture)
    width, height = picture.figure.get_size_inches() * picture.figure.dpi
    outside = [
        f"{name!r} leaves the sheet"
        for name, left, low, right, high in found
        if left < -0.5 or low < -0.5 or right > width + 0.5 or high > height + 0.5
    ]
    crossing = [
        f"{one[0]!r} lies on {two[0]!r}"
        for one, two in combinations(found, 2)
        if min(one[3], two[3]) - max(one[1], two[1]) > 1
        and min(one[4], two[4]) - max(one[2], two[2]) > 1
    ]
    return outside + crossing


def _undrawn(axes):
    """The labels of ticks that exist, but stand outside of their axis's limits or on none that shows."""
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        low, high = sorted(limits)
        slack = 1e-6 * (high - low)
        shown = {
            label
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
            for label in (tick.label1, tick.label2)
            if axes.axison and low - slack <= tick.get_loc() <= high + slack
        }
        yield from set(axis.findobj(Text)) - shown - {axis.label, axis.offsetText}
