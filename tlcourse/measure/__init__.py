"""Says whether something is true: metrics, intervals over seeds, claims, tables of measurements."""

from tlcourse.measure.claims import Claim, claim
from tlcourse.measure.intervals import Interval, interval, paired
from tlcourse.measure.metrics import accuracy, confusion
from tlcourse.measure.tables import Column, Table, measured, table

__all__ = [
    "Claim",
    "Column",
    "Interval",
    "Table",
    "accuracy",
    "claim",
    "confusion",
    "interval",
    "measured",
    "paired",
    "table",
]
