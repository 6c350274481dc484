"""The lessons there are: each one file in `lessons/`, which says by itself what it needs.

    # ---
    # jupyter:
    #   tlcourse:
    #     cards:                                  # what to fetch, by tier; a tier that is
    #       pocket: [digits]                      # missing here is one the lesson does not have
    #       public: [caltech24, mobilenetv2]
    # ---
    # %% [markdown]
    # # 01 · Feature extraction                   # the first heading is the title

The file's name is NN-name.py: number and name.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tlcourse.errors import CourseError

LESSONS = Path(__file__).parent / "lessons"
TIERS = ("pocket", "public", "gpu")


@dataclass(frozen=True)
class Lesson:
    """One lesson: `number` "01", `name` "feature-extraction", and its cards by tier."""

    number: str
    name: str
    title: str
    path: Path
    cards: dict[str, tuple[str, ...]]

    @property
    def notebook(self) -> str:
        """The file name of its notebooks, wherever they lie."""
        return f"{self.number}-{self.name}.ipynb"

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers it has, from the smallest to the largest."""
        return tuple(tier for tier in TIERS if tier in self.cards)


def lessons(folder: Path = LESSONS) -> list[Lesson]:
    """Every lesson in the folder, in order. Reads the files' heads only."""
    return [_read(path) for path in sorted(folder.glob("[0-9][0-9]-*.py"))]


def lesson(number: str, folder: Path = LESSONS) -> Lesson:
    """The lesson of this number ("1" and "01" are the same) or name; CourseError with the choices."""
    known = lessons(folder)
    asked = str(number).strip()
    for one in known:
        if asked.zfill(2) == one.number or asked.removesuffix(".ipynb") in (
            one.name,
            f"{one.number}-{one.name}",
        ):
            return one
    choices = ", ".join(f"{one.number} ({one.name})" for one in known) or "none yet"
    raise CourseError(f"No lesson {number!r}. The lessons are: {choices}.")


def _read(path: Path) -> Lesson:
    import yaml

    text = path.read_text(encoding="utf-8")
    number, _, name = path.stem.partition("-")
    head = re.match(r"# ---\n(.*?)# ---\n", text, re.DOTALL)
    title = re.search(r"^# # (.+)$", text, re.MULTILINE)
    if head is None or title is None:
        raise CourseError(f"{path.name} needs a `# ---` header and a first heading `# # Title`.")
    fields = yaml.safe_load(re.sub(r"^# ?", "", head[1], flags=re.MULTILINE)) or {}
    cards = fields.get("jupyter", {}).get("tlcourse", {}).get("cards")
    if not isinstance(cards, dict) or not cards or not set(cards) <= set(TIERS):
        raise CourseError(
            f"{path.name} must name its cards by tier ({', '.join(TIERS)}) in its header, under "
            "jupyter: tlcourse: cards."
        )
    return Lesson(
        number,
        name,
        re.sub(rf"^(Lesson )?{number}\W*", "", title[1]).strip(),
        path,
        {tier: tuple(names or ()) for tier, names in cards.items()},
    )
