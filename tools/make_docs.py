"""Builds the course's website from docs/, notebooks/ and docstrings.

    python tools/make_docs.py          # needs the extra `docs`; no network, nothing is executed
    python tools/make_docs.py --open   # and opens the first page

A lesson's page comes from its executed notebook (`tools/lesson_page.py`), the API reference from the
docstrings (`tools/api_reference.py`). Every warning of Sphinx is an error.
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tlcourse.course.syllabus import lessons  # noqa: E402
from tools import api_reference  # noqa: E402
from tools.lesson_page import Page, page_of  # noqa: E402

DOCS, BUILD = ROOT / "docs", ROOT / "build" / "docs"
ELSEWHERE = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def pages() -> list[Page]:
    """Every lesson that has run, in order."""
    made = []
    for taught in lessons():
        executed = ROOT / "notebooks" / taught.notebook
        if executed.exists():
            made.append(page_of(taught, executed))
    return made


def gather(source: Path) -> list[Page]:
    """Write everything that Sphinx reads into the folder `source`, replacing it."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(
        DOCS, source, ignore=shutil.ignore_patterns("conf.py", "_static", "*.json", "results")
    )
    datasets = ROOT / "datasets" / "README.md"
    (source / "datasets.md").write_text(datasets.read_text(encoding="utf-8"), encoding="utf-8")
    (source / "api").mkdir()
    for name, text in api_reference.pages().items():
        (source / "api" / f"{name}.md").write_text(text, encoding="utf-8")
    made = pages()
    for at, page in enumerate(made):
        text = page.text + _onwards(made[at + 1] if at + 1 < len(made) else None)
        (source / "lessons" / f"{page.name}.md").write_text(text, encoding="utf-8")
        for name, content in page.files.items():
            (source / "lessons" / name).write_bytes(content)
    for path in sorted(source.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        text = text.replace("<!-- lessons -->", _table(made, path.parent == source))
        text = text.replace("<!-- lesson pages -->", "\n".join(page.name for page in made))
        path.write_text(_present(_linked(text, path, source), path, source), encoding="utf-8")
    return made


def build(folder: Path = BUILD) -> Path:
    """Build the pages in `folder`/html; return the first one. Raises SystemExit if Sphinx fails, after
    its own messages."""
    if importlib.util.find_spec("furo") is None:
        raise SystemExit("The pages are made by Sphinx: install the extra, tlcourse[docs].")
    source, html = folder / "source", folder / "html"
    gather(source)
    shutil.rmtree(html, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", DOCS, "-d", folder / "doctrees"]
    done = subprocess.run([*command, "-q", "-W", "--keep-going", source, html], cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"The pages could not be made (Sphinx ended with {done.returncode}).")
    for page in html.rglob("*.html"):
        page.write_text(_accessible(page.read_text(encoding="utf-8")), encoding="utf-8")
    return html / "index.html"


def _accessible(page: str) -> str:
    """Add what Furo lacks: levels of captions, and keyboard scrolling of code and tables."""
    page = page.replace('<p class="caption" role="heading">',
                        '<p class="caption" role="heading" aria-level="2">')  # fmt: skip
    return re.sub(r'<(pre|div class="table-wrapper)(?! tabindex)', _with_stop, page)


def _with_stop(found: re.Match[str]) -> str:
    tag, _, rest = found[0].partition(" ")
    return f'{tag} tabindex="0"{" " if rest else ""}{rest}'


def _onwards(following: Page | None) -> str:
    if following is None:
        return "\n:::{container} onwards\nBack to [all lessons](index.md)\n:::\n"
    return (
        f"\n:::{{container}} onwards\nNext: [{following.title}]({following.name}.md). "
        f"*{following.question}*\n:::\n"
    )


def _table(made: list[Page], at_root: bool) -> str:
    folder = "lessons/" if at_root else ""
    rows = [
        f"| [{page.title}]({folder}{page.name}.md) | {page.question} | "
        f"{page.minutes or '20 to 30'} min |"
        for page in made
    ]
    return "\n".join(["| lesson | the question | time |", "|---|---|---|", *rows])


def _linked(text: str, path: Path, source: Path) -> str:
    """Replace links to project files that are not pages by the files' names."""

    def inside(found: re.Match[str]) -> str:
        name, target = found[1], found[2].partition("#")[0]
        for start in (path.parent, source):
            if (start / target).resolve().is_relative_to(source.resolve()) and (
                start / target
            ).exists():
                return found[0]
        shown = target.lstrip("./")
        return name if name.strip("`") == shown else f"{name} (`{shown}`)"

    return ELSEWHERE.sub(inside, text)


def _present(text: str, path: Path, source: Path) -> str:
    """Remove entries of a table of contents that have no page (yet)."""

    def entries(found: re.Match[str]) -> str:
        kept = [
            line
            for line in found[0].split("\n")
            if line.startswith(("`", ":")) or not line.strip() or _has_page(line, path, source)
        ]
        return "\n".join(kept)

    return re.sub(r"```\{toctree\}.*?```", entries, text, flags=re.DOTALL)


def _has_page(line: str, path: Path, source: Path) -> bool:
    target = re.search(r"<(.+)>", line)
    name = (target[1] if target else line).strip()
    start = source if name.startswith("/") else path.parent
    return (start / f"{name.lstrip('/')}.md").exists()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the course's pages.")
    parser.add_argument("--open", action="store_true", help="open the first page in a browser")
    options = parser.parse_args()
    first = build()
    print(first.relative_to(ROOT))
    if options.open:
        import webbrowser

        webbrowser.open(first.as_uri())
    return 0


if __name__ == "__main__":
    sys.exit(main())
