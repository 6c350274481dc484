"""Tensors made out of files, or rendered from embedded data, in three fixed splits."""

from tlcourse.data.core import Data
from tlcourse.data.examples import Split
from tlcourse.data.load import domains, load_data, names

__all__ = ["Data", "Split", "domains", "load_data", "names"]
