"""A table of measurements that knows which columns vary with hardware.

    table(
        [("every epoch anew", slow), ("cached", fast)],
        columns={"features": "text", "time an epoch": measured("seconds")},
    )

Each column is written in its unit. `measured(unit)` says that its numbers differ from machine to
machine: they are marked (see `units`), and nbval does not compare them. It compares all other columns
exactly.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlcourse.errors import DataError
from tlcourse.measure.intervals import Interval
from tlcourse.measure.units import UNITS, json_number, varying_html, varying_text, written

# The width of a measured number in plain text, so that a longer number on another machine moves
# nothing outside its own brackets.
_ROOM = 16


@dataclass(frozen=True)
class Column:
    """How a column is written, and whether its numbers vary with hardware."""

    unit: str = "text"
    varies: bool = False


def measured(unit: str) -> Column:
    """A column of numbers that vary with hardware: metrics, times, ratios of times."""
    return Column(unit, varies=True)


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns; shows itself in a notebook."""

    columns: dict[str, Column]
    rows: tuple[tuple[Any, ...], ...]
    title: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The numbers, unrounded, for a file of figures."""
        return {
            "title": self.title,
            "columns": {name: column.unit for name, column in self.columns.items()},
            "rows": [[_raw(value) for value in row] for row in self.rows],
        }

    def __repr__(self) -> str:
        return self._plain()

    def _cells(self) -> list[list[str]]:
        units = [column.unit for column in self.columns.values()]
        return [
            [written(value, unit) for value, unit in zip(row, units, strict=True)]
            for row in self.rows
        ]

    def _plain(self) -> str:
        cells = self._cells()
        lines = [[] for _ in range(len(cells) + 1)]
        for at, (name, column) in enumerate(self.columns.items()):
            texts = [row[at] for row in cells]
            if column.varies:
                room = max(_ROOM, len(name))
                shown = [varying_text(text.rjust(room)) for text in texts]
                header = f" {name.rjust(room)} "
            else:
                room = max(len(text) for text in (name, *texts))
                pad = str.ljust if column.unit == "text" else str.rjust
                shown, header = [pad(text, room) for text in texts], pad(name, room)
            for line, text in zip(lines, (header, *shown), strict=True):
                line.append(text)
        body = "\n".join("  ".join(line).rstrip() for line in lines)
        return f"{self.title}\n{body}" if self.title else body

    def _html(self) -> str:
        def cell(tag: str, text: str, column: Column) -> str:
            side = "left" if column.unit == "text" else "right"
            return f'<{tag} style="text-align: {side}; padding: 3px 14px 3px 6px">{text}</{tag}>'

        columns = list(self.columns.values())
        head = "".join(
            cell("th", html.escape(name, quote=False), column)
            for name, column in self.columns.items()
        )
        body = "".join(
            "<tr>"
            + "".join(
                cell("td", (varying_html if c.varies else _escaped)(text), c)
                for text, c in zip(row, columns, strict=True)
            )
            + "</tr>"
            for row in self._cells()
        )
        title = f"<caption><b>{_escaped(self.title)}</b></caption>" if self.title else ""
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data = {"text/html": self._html(), "text/plain": self._plain()}
        return data, {"tlcourse": {"numbers": self.as_json()}}


def table(
    rows: Iterable[Sequence[Any]],
    columns: Mapping[str, str | Column],
    *,
    title: str | None = None,
) -> Table:
    """A table that shows itself in a notebook.

    rows: sequences of values, in the order of the columns. columns: name -> unit ("text",
    "count", "percent", "points", "seconds", "ratio", "number"), or `measured(unit)` if it varies with
    hardware. An `Interval` needs a measured column.

    >>> table([("logistic", 1440)], columns={"probe": "text", "labels": "count"})
    probe     labels
    logistic   1,440
    """
    columns = {
        name: column if isinstance(column, Column) else Column(column)
        for name, column in columns.items()
    }
    rows = tuple(tuple(row) for row in rows)
    for name, column in columns.items():
        if column.unit not in UNITS:
            raise DataError(
                f"Column {name!r} has no unit {column.unit!r}. Choose one of: {', '.join(UNITS)}."
            )
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise DataError(
                f"Row {number} has {len(row)} values for {len(columns)} columns: "
                f"{', '.join(columns)}."
            )
        for (name, column), value in zip(columns.items(), row, strict=True):
            if isinstance(value, Interval) and not column.varies:
                raise DataError(
                    f"Column {name!r} holds an interval, which varies: "
                    f"make it measured({value.unit!r})."
                )
    return Table(columns, rows, title)


def _escaped(text: str | None) -> str:
    return html.escape(text or "", quote=False)


def _raw(value: Any) -> Any:
    if isinstance(value, Interval):
        return value.as_json()
    is_number = isinstance(value, int | float) or hasattr(value, "item")
    return json_number(value) if is_number or value is None else str(value)
