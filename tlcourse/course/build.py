"""Make notebooks from lessons. A lesson (py:percent) is the one source of three notebooks:

    for the learner      clean, without solutions                   → the learner's folder
    for the reader       executed in the public tier, with figures  → notebooks/
    for the tests        executed in the pocket tier, no pictures   → tests/notebooks/

    python -m tlcourse.course.build            # execute and write both references, all lessons
    python -m tlcourse.course.build 01 --tier pocket
    python -m tlcourse.course.build --from out/claims   # from what `tlcourse claims` executed
    python -m tlcourse.course.build --prose    # where only the text changed: keep the outputs

A solution stands between two comment lines in a code cell. The reference keeps it; the learner gets
`# your turn` in its place:

    # SOLUTION
    head = nn.Linear(512, 24)
    # END

Placeholders may stand before it, so that the learner's cell runs from the start. The learner keeps
these lines; the reference drops them:

    rate = ...  # your turn
    # SOLUTION
    rate = 3e-3
    # END
    tl.check("01.2", rate)
"""

import hashlib
import re
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tlcourse.course.syllabus import Lesson, lesson, lessons
from tlcourse.errors import CourseError
from tlcourse.files import write_atomically
from tlcourse.spoken import command as spoken

if TYPE_CHECKING:
    from nbformat import NotebookNode

CLONE = Path(__file__).resolve().parents[2]
REFERENCES = {"public": CLONE / "notebooks", "pocket": CLONE / "tests" / "notebooks"}
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}

SOLUTION = re.compile(
    r"(?P<blanks>(?:^[^\n]*\.\.\.[ ]*# your turn[^\n]*\n)*)"
    r"^(?P<indent>[ \t]*)# SOLUTION[^\n]*\n(?P<code>.*?)^[ \t]*# END[ \t]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


def notebook(taught: Lesson, *, solutions: bool) -> "NotebookNode":
    """The lesson as a notebook that has not run; the same text always gives the same bytes."""
    import jupytext
    import nbformat

    read = jupytext.reads(taught.path.read_text(encoding="utf-8"), fmt="py:percent")
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    made.metadata["language_info"] = {"name": "python"}
    seen: Counter[str] = Counter()
    for cell in read.cells:
        text = cell.source
        if cell.cell_type == "code":
            text = _solved(text, taught) if solutions else _open(text, taught)
        new = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")(text)
        if tags := cell.metadata.get("tags"):
            new.metadata["tags"] = tags
        # By content, and of the source as it is: a new cell leaves the other cells' ids alone.
        identity = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[identity] += 1
        new["id"] = identity if seen[identity] == 1 else f"{identity}-{seen[identity]}"
        made.cells.append(new)
    nbformat.validate(made)
    return made


def write(made: "NotebookNode", path: Path) -> None:
    """Save whole or not at all: a half-written notebook would be lost work."""
    import nbformat

    write_atomically(path, nbformat.writes(made) + "\n")


def for_reference(executed: "NotebookNode", tier: str) -> "NotebookNode":
    """Remove what differs between runs, and other people's photos; in the pocket tier every picture.

    Sheets of photos are JPEGs, our own figures are PNGs. We may not redistribute the photos; the
    sentence that describes them stays. A lens is kept as its last picture.
    """
    _still_lenses(executed)
    executed.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}} | (
        {"widgets": executed.metadata["widgets"]}
        if tier != "pocket" and "widgets" in executed.metadata
        else {}
    )
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            for mime in [mime for mime in output.get("data", {}) if _is_picture(mime)]:
                if tier == "pocket" or mime == "image/jpeg":
                    del output["data"][mime]
            if tier == "pocket":
                output.get("metadata", {}).clear()
    return executed


def faults(executed: "NotebookNode") -> list[str]:
    """Why these outputs cannot be published: errors, stderr noise, paths of this machine."""
    found = []
    here = {str(Path.home()), str(CLONE), sys.prefix, "/tmp/ipykernel_"} - {"/"}
    places = sorted(here, key=len, reverse=True)
    for number, cell in enumerate(executed.cells, 1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"cell {number} ends in {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                found.append(f"cell {number} writes to stderr: {output.text.strip()[:200]}")
            shown = [
                value for mime, value in output.get("data", {}).items() if not _is_picture(mime)
            ]
            text = "\n".join(map(str, [*shown, output.get("text", "")]))
            found += [f"cell {number} shows the path {place}" for place in places if place in text]
    return found


def _solved(source: str, taught: Lesson) -> str:
    return _checked(SOLUTION.sub(r"\g<code>", source).rstrip("\n"), taught)


def _open(source: str, taught: Lesson) -> str:
    def gap(found: re.Match[str]) -> str:
        if found["blanks"]:
            return found["blanks"]
        indent = found["indent"]  # inside a block Python wants a statement
        return f"{indent}...  # your turn\n" if indent else "# your turn\n"

    return _checked(SOLUTION.sub(gap, source).rstrip("\n"), taught)


def _checked(source: str, taught: Lesson) -> str:
    if stray := re.search(r"^[ \t]*# (SOLUTION|END)\b", source, re.MULTILINE):
        raise CourseError(f"{taught.path.name} has a `# {stray[1]}` without its partner.")
    return source


def _still_lenses(executed: "NotebookNode") -> None:
    """Drop the widget of every lens that has its picture beside it: it holds the same picture again."""
    view = "application/vnd.jupyter.widget-view+json"
    known = executed.metadata.get("widgets", {})
    models = known.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    for cell in executed.cells:
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            shown = models.get(data.get(view, {}).get("model_id"), {}).get("state", {})
            if "seen" in shown and "image/png" in data:
                del models[data.pop(view)["model_id"]]
                models.pop(shown.get("layout", "").removeprefix("IPY_MODEL_"), None)


def _is_picture(mime: str) -> bool:
    return mime.startswith("image/") or mime == "application/vnd.jupyter.widget-view+json"


def build(taught: Lesson, tier: str) -> Path:
    """Execute the lesson in the tier and write its reference; CourseError if `faults` finds any."""
    import tempfile

    from tlcourse.course.execute import execute, fetch_cards, first_line

    fetch_cards(taught, tier)
    with tempfile.TemporaryDirectory() as folder:
        run = execute(
            notebook(taught, solutions=True),
            Path(folder),
            tier,
            progress=lambda n, of, cell, s: print(f"  [{n}/{of}] {s:6.1f} s  {first_line(cell)}"),
        )
    if run.failure:
        raise CourseError(f"Lesson {taught.number}, {tier}: {run.failure}")
    return keep(run.notebook, taught, tier)


def keep(executed: "NotebookNode", taught: Lesson, tier: str) -> Path:
    """Make an executed lesson its tier's reference; CourseError if `faults` finds any."""
    if found := faults(executed):
        raise CourseError(f"Lesson {taught.number}, {tier}: {'; '.join(found)}")
    path = REFERENCES[tier] / taught.notebook
    write(for_reference(executed, tier), path)
    return path


def take(taught: Lesson, tier: str, folder: Path) -> Path:
    """Make a reference of what `tlcourse claims` executed in folder/NN-tier, if all claims held."""
    import nbformat

    from tlcourse.course.figures import claims_of, read_figures

    place = folder / f"{taught.number}-{tier}"
    figures = place / f"{taught.number}-figures.json"
    if not figures.exists():
        raise CourseError(f"There is no {figures}: run `{spoken(f'claims --tier {tier}')}` first.")
    ran = read_figures(figures)
    failed = [claim["id"] for claim in claims_of(ran) if not claim["holds"]]
    if failed or not ran.get("passed"):
        why = f"{', '.join(failed)} failed" if failed else ran.get("failure")
        raise CourseError(f"Lesson {taught.number}, {tier}: {why}. Nothing was taken over.")
    return keep(nbformat.read(place / taught.notebook, as_version=4), taught, tier)


def reword(taught: Lesson, tier: str) -> Path:
    """Bring a reference's text cells up to the lesson's words; CourseError if any code has changed."""
    import nbformat

    path = REFERENCES[tier] / taught.notebook
    found, wanted = nbformat.read(path, as_version=4), notebook(taught, solutions=True)
    ran = [cell for cell in found.cells if cell.cell_type == "code"]
    code = [cell.source for cell in wanted.cells if cell.cell_type == "code"]
    if [cell.source for cell in ran] != code:
        raise CourseError(
            f"The code of lesson {taught.number} has changed: execute it, {tier} tier."
        )
    results = iter(ran)
    for cell in wanted.cells:
        if cell.cell_type == "code":
            result = next(results)
            cell.outputs, cell.execution_count = result.outputs, result.execution_count
    wanted.metadata = found.metadata
    write(wanted, path)
    return path


def main() -> int:
    import argparse

    parser = argparse.ArgumentParser(description="Execute lessons and write their references.")
    parser.add_argument("numbers", nargs="*", help="lessons; all of them if none is named")
    parser.add_argument("--tier", choices=[*REFERENCES, "all"], default="all")
    parser.add_argument("--prose", action="store_true", help="take over new words, run nothing")
    parser.add_argument(
        "--from", dest="folder", type=Path, help="what the command `claims` executed; run nothing"
    )
    options = parser.parse_args()
    make = reword if options.prose else build
    if options.folder:
        make = partial(take, folder=options.folder)
    chosen = [lesson(number) for number in options.numbers] or lessons()
    for taught in chosen:
        for tier in REFERENCES if options.tier == "all" else [options.tier]:
            print(f"Lesson {taught.number}, {tier} tier")
            try:
                print(f"wrote {make(taught, tier).relative_to(CLONE)}")
            except CourseError as error:
                print(error, file=sys.stderr)
                return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
