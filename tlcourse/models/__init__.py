"""Models, and the names of their parameter groups."""

from tlcourse.models.classifier import groups_of
from tlcourse.models.load import load_model, names

__all__ = ["groups_of", "load_model", "names"]
