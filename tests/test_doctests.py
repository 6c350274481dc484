"""Every example in a docstring runs and shows what it says."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import tlcourse as tl

PACKAGE = Path(tl.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8") and "lessons" not in path.parts
)


@pytest.fixture(scope="module")
def names():
    """What an example may use without saying where it comes from."""
    digits = tl.load_data("digits", labels_per_class=10)
    return {"tl": tl, "torch": torch, "np": np, "digits": digits}


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, names):
    module = import_module(name)
    names["model"] = tl.load_model("pocket-resnet", classes=10)  # a session trains it: one each
    found = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert found.attempted and not found.failed
