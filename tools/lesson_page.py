"""A lesson's executed notebook as a page in MyST Markdown. Nothing is executed and no data is needed.

What a page cannot show is described: a widget becomes its still picture, and other people's photos or
texts, which the committed notebooks leave out, become the sentence that describes them. Solutions and
hints are folded.
"""

import base64
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from tlcourse.course.build import notebook
from tlcourse.course.exercises import exercises
from tlcourse.course.syllabus import Lesson

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}


@dataclass
class Page:
    """text: MyST Markdown. files: name -> bytes, to be saved next to it. question, minutes, claims,
    exercises: for the table of lessons; minutes is None if the lesson does not say."""

    lesson: Lesson
    question: str
    minutes: int | None
    claims: int
    exercises: int
    text: str = ""
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.lesson.number}-{self.lesson.name}"

    @property
    def title(self) -> str:
        return f"{self.lesson.number} · {self.lesson.title}"


def page_of(taught: Lesson, executed: Path) -> Page:
    """The lesson as it ran."""
    ran = nbformat.read(executed, as_version=4)
    first, *cells = ran.cells
    intro = re.sub(r"^# [^\n]*\n", "", first.source).strip()
    question = re.search(r"\*\*(.+?\?)\*\*", intro, re.DOTALL)
    text = " ".join(question[1].split()) if question else taught.title
    if question:
        intro = intro.replace(question[0], "", 1).strip()
    written = "\n".join(cell.source for cell in ran.cells)
    minutes = re.search(r"[Aa]bout (\d+) minutes", written)
    made = Page(
        lesson=taught,
        question=text,
        minutes=int(minutes[1]) if minutes else None,
        claims=len(_claimed(ran)),
        exercises=len(exercises(taught.number)),
    )
    made.files[taught.notebook] = nbformat.writes(ran).encode()
    body = "\n\n".join(_cells(cells, taught, made))
    made.text = f"# {made.title}\n\n{_front(made)}\n\n{intro}\n\n{_note(made)}\n\n{body}\n"
    return made


def _front(page: Page) -> str:
    """The question, and facts that a reader wants to know first."""
    tiers = [
        f"<code>{tier}</code> ({', '.join(page.lesson.cards[tier]) or 'nothing to fetch'})"
        for tier in page.lesson.tiers
    ]
    facts = {
        "Time": f"about {page.minutes} minutes" if page.minutes else "20 to 30 minutes",
        "Claims measured": str(page.claims),
        "Exercises": str(page.exercises),
        "Tiers": ", ".join(tiers),
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts.items())
    return f":::{{container}} question\n{page.question}\n:::\n\n" + _raw(
        f'<dl class="front simple">{rows}</dl>'
    )


def _note(page: Page) -> str:
    return (
        f"*This page is the lesson as it ran in the public tier, with recorded commands in the live "
        f"cells. To steer it yourself: `python start.py lab`, then open `{page.lesson.notebook}`. "
        f"Or take* {{download}}`the notebook as it ran <{page.lesson.notebook}>`."
    )


def _cells(cells: list[Any], taught: Lesson, page: Page) -> Iterator[str]:
    """Each cell in Markdown; a solution is folded, after the learner's gap."""
    gaps = {
        cell.id: cell.source for cell in notebook(taught, solutions=False).cells if "id" in cell
    }
    known = exercises(taught.number)
    for cell in cells:
        if cell.cell_type == "markdown":
            yield cell.source
            continue
        ran = [_code(cell.source), *_outputs(cell, page)]
        gap = gaps.get(cell.id, cell.source)
        if gap.strip() == cell.source.strip():
            yield from ran
            continue
        yield _code(gap)
        for number in re.findall(r'check\(\s*"(\d\d\.\d+)"', cell.source):
            hints = known[number].hints if number in known else ()
            for at, hint in enumerate(hints, 1):
                yield _closed(f"Hint {at} of {len(hints)}", hint)
        yield _closed("A solution, and what comes out", "\n\n".join(ran))


def _outputs(cell: Any, page: Page) -> Iterator[str]:
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            yield _said(output.text)
        elif data := output.get("data", {}):
            yield _shown(data, output.get("metadata", {}), page)


def _shown(data: Any, metadata: Any, page: Page) -> str:
    """One output, in the richest form that a page can show."""
    for mime, ending in PICTURES.items():
        if mime in data:
            return _picture(mime, ending, data, metadata.get(mime, {}), page)
    if left_out := metadata.get("image/jpeg", {}).get("alt"):
        note = "Left out here, because we may not redistribute it. In the lesson it shows:"
        return _raw(f'<p class="left-out"><b>{note}</b> {html.escape(left_out)}</p>')
    if "text/html" in data:
        return _raw(f'<div class="output rich" tabindex="0">{data["text/html"]}</div>')
    plain = _plain(data.get("text/plain", ""))
    if WIDGET in data:
        return _raw(f'<p class="left-out"><b>Live in the lesson:</b> {html.escape(plain)}</p>')
    return _said(plain)


def _picture(mime: str, ending: str, data: Any, metadata: Any, page: Page) -> str:
    name = f"{page.lesson.number}-{len(page.files):02d}.{ending}"
    held = data[mime]
    page.files[name] = held.encode() if ending == "svg" else base64.b64decode(held)
    title = re.search(r"<title>(.*?)</title>", held) if ending == "svg" else None
    alt = metadata.get("alt") or (html.unescape(title[1]) if title else _plain(data["text/plain"]))
    width = f":width: {metadata['width']}px\n" if "width" in metadata else ""
    live = _raw('<p class="caption">A still picture: in the lesson this is live.</p>')
    caption = f"\n\n{live}" if WIDGET in data else ""
    return f"```{{image}} {name}\n:alt: {' '.join(alt.split())}\n{width}```{caption}"


def _code(source: str) -> str:
    return f"{_fence(source)}python\n{source.rstrip()}\n{_fence(source)}"


def _said(text: str) -> str:
    """What a cell printed; a claim's line has its own style."""
    text = _plain(text).rstrip()
    if re.fullmatch(r"\d\d\.\d+ (holds|does not hold): .*", text):
        return _raw(f'<p class="claim">{html.escape(text)}</p>')
    return _raw(f'<pre class="output">{html.escape(text)}</pre>') if text else ""


def _closed(summary: str, inside: str) -> str:
    return _raw(f"<details><summary>{summary}</summary>") + f"\n\n{inside}\n\n" + _raw("</details>")


def _raw(markup: str) -> str:
    return f"{_fence(markup)}{{raw}} html\n{markup}\n{_fence(markup)}"


def _fence(text: str) -> str:
    """A fence longer than any in the text."""
    return "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)


def _plain(text: str) -> str:
    return re.sub("[⟨⟩]", "", text)


def _claimed(ran: Any) -> set[str]:
    """The ids of all claims in the outputs."""
    ids = [
        output.get("metadata", {}).get("tlcourse", {}).get("claim", {})
        for cell in ran.cells
        for output in cell.get("outputs", [])
    ]
    return {claim["id"] for claim in ids if claim}
