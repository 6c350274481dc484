"""Every Python block in README.md and docs/ runs."""

import ast
import asyncio
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tlcourse as tl

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {
    page.relative_to(ROOT).as_posix(): blocks
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if (blocks := BLOCK.findall(page.read_text(encoding="utf-8")))
}
TRAINERS = "steer_trainer"  # these blocks are run in tests/session, with the trainers' libraries


def names() -> dict[str, object]:
    """What a page's blocks may use without saying where it comes from."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = TensorDataset(torch.randn(16, 4), torch.arange(16) % 2)
    return {
        "tl": tl,
        "F": nn.functional,
        "load_data": tl.load_data,
        "model": model,
        "data": tl.Data.from_tensors(rows.tensors),
        "optimizer": optimizer,
        "schedule": torch.optim.lr_scheduler.ConstantLR(optimizer),
        "loader": DataLoader(rows, batch_size=8),
    }


SLOW = {"docs/data/glyphs.md", "docs/data/surfaces.md"}  # they render whole data sets


def marked(page: str):
    return pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())


@pytest.mark.parametrize("page", map(marked, PAGES))
def test_python_blocks_of_a_page_run(page):
    space = names()
    for block in PAGES[page]:
        if TRAINERS not in block:
            code = compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if asyncio.iscoroutine(result := eval(code, space)):
                asyncio.run(result)


def test_there_are_blocks_to_run():
    assert {"docs/steering.md", "docs/data/surfaces.md"} <= set(PAGES)
