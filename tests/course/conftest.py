"""A tiny lesson, with everything that a lesson can have."""

from pathlib import Path

import pytest

from tlcourse.course import Lesson, lesson

SAMPLE = """\
# ---
# jupyter:
#   tlcourse:
#     cards:
#       pocket: [digits]
#       public: [caltech24, mobilenetv2]
# ---

# %% [markdown]
# # 42 · A sample
#
# Some words.

# %%
import os

print("tier", os.environ["TLCOURSE_TIER"])

# %%
from tlcourse.measure import claim

claim("42.1", "Half of all is at least a quarter.", 0.5, at_least=0.25)

# %%
count = 0
for number in range(3):
    # SOLUTION
    count += number
    # END
count = count or 3

# %%
from pathlib import Path

Path("records").mkdir(exist_ok=True)
_ = Path("records/42.jsonl").write_text("{}")
"""


@pytest.fixture
def write_lesson(tmp_path: Path):
    """Writes a lesson file and reads it: write_lesson(text) -> Lesson."""

    def write(text: str = SAMPLE, name: str = "42-sample.py") -> Lesson:
        folder = tmp_path / "lessons"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return lesson(name[:2], folder)

    return write
