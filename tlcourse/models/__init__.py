"""Models, and the names of their parameter groups."""

from tlcourse.models.load import load_model, names
from tlcourse.models.partition import groups_of

__all__ = ["groups_of", "load_model", "names"]
