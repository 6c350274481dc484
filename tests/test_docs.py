"""The pages are whole: every link leads somewhere, nothing is empty, and nothing comes from the web."""

import functools
import http.server
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from tests.browser import driver
from tlcourse.course.build import notebook
from tlcourse.course.syllabus import lesson, lessons

pytest.importorskip("furo")

from tools import make_docs  # noqa: E402
from tools.lesson_page import WIDGET, page_of  # noqa: E402

LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "srcset"}


class Page(HTMLParser):
    """What a page of HTML names: its links and anchors, what it loads, its pictures' texts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loads, self.anchors, self.pictures = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.anchors |= {told[name] for name in ("id", "name") if told.get(name)}
        if tag == "a" and told.get("href"):
            self.links.append(told["href"])
        if tag in LOADED and told.get(LOADED[tag]) and told.get("rel") not in ("search", "next"):
            self.loads.append(told[LOADED[tag]])
        if tag == "img":
            self.pictures.append((told["src"], told.get("alt")))


def broken(html: Path) -> list[str]:
    """Links and files of all pages under `html` that lead nowhere within it."""
    pages = {path.resolve(): Page(path) for path in html.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{path.name}: {link}")
            elif parts.fragment and target in pages:
                if unquote(parts.fragment) not in pages[target].anchors:
                    found.append(f"{path.name}: {link}")
    return found


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return make_docs.build(tmp_path_factory.mktemp("docs")).parent


def test_no_link_is_broken(html):
    assert len(list(html.rglob("*.html"))) > 10
    assert broken(html) == []


def test_a_broken_link_would_be_seen(tmp_path):
    (tmp_path / "one.html").write_text('<p id="here"><a href="two.html#there"><a href="#here">')
    (tmp_path / "two.html").write_text(
        '<img src="gone.png"><a href="three.html"><a href="one.html#here">'
    )
    assert sorted(broken(tmp_path)) == [
        "one.html: two.html#there", "two.html: gone.png", "two.html: three.html"
    ]  # fmt: skip


def test_nothing_is_loaded_from_the_web(html):
    asked = {
        f"{path.name}: {load}"
        for path in html.rglob("*.html")
        for load in Page(path).loads
        if urlsplit(load).netloc
    }
    for sheet in html.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        asked |= set(re.findall(r"url\(['\"]?((?:https?:)?//[^)]*)", text))
        asked |= set(re.findall(r"@import[^;]*", text))
    assert asked == set()


def test_every_picture_says_what_it_shows(html):
    pictures = [picture for path in html.rglob("*.html") for picture in Page(path).pictures]
    assert pictures and [name for name, alt in pictures if not alt] == []


@pytest.mark.parametrize("taught", lessons(), ids=lambda taught: taught.number)
def test_a_lesson_has_its_page_with_all_that_it_showed(html, taught):
    path = make_docs.ROOT / "notebooks" / taught.notebook
    if not path.exists():
        pytest.skip(f"lesson {taught.number} has not run in the public tier yet")
    page = html / "lessons" / f"{taught.number}-{taught.name}.html"
    shown = [out for cell in nbformat.read(path, 4).cells for out in cell.get("outputs", [])]
    drawn = [out for out in shown if {"image/png", "image/svg+xml"} & set(out.get("data", {}))]
    names = [name for name, _ in Page(page).pictures]
    assert len(names) == len(set(names)) == len(drawn)
    text = page.read_text(encoding="utf-8")
    left_out = [out for out in shown if "image/jpeg" in out.get("metadata", {})]
    assert text.count("may not redistribute it. In the lesson") == len(left_out)
    assert "⟨" not in text and WIDGET not in text and "$$" not in text
    assert f"{taught.number}.1 " in text and "Tiers" in text


def test_the_lessons_stand_on_the_first_page_and_lead_on_to_each_other(html):
    made = make_docs.pages()
    first = Page(html / "index.html")
    for at, page in enumerate(made):
        assert f"lessons/{page.name}.html" in first.links
        if at:
            before = (html / "lessons" / f"{made[at - 1].name}.html").read_text(encoding="utf-8")
            onwards = before[before.index("onwards") :]
            assert f'href="{page.name}.html"' in onwards[:400] and "Next: " in onwards[:400]


def test_every_public_name_stands_in_the_reference(html):
    import tlcourse
    from tlcourse.session import kinds

    pages = {path.stem: Page(path).anchors for path in (html / "api").glob("*.html")}
    anchors = set().union(*pages.values())
    shown = set(tlcourse.__all__) - {"errors", "measure", "methods", "plots"}  # these are pages
    assert shown - {anchor.removeprefix("tlcourse.") for anchor in anchors} == set()
    for room in ("measure", "methods", "plots"):
        for name in getattr(tlcourse, room).__all__:
            assert {f"tlcourse.{room}.{name}", f"tlcourse.{name}"} & anchors, f"{room}.{name}"
    for command in kinds().values():
        assert f"tlcourse.{command.__name__}" in pages["commands"]
        assert command.__doc__ and not command.__doc__.startswith(f"{command.__name__}(")


def test_a_docstring_becomes_what_it_says(html):
    text = (html / "api" / "commands.html").read_text(encoding="utf-8")
    assert "`" not in re.sub(r"<[^>]*>", "", text[text.index("<article") : text.index("</article")])


def output(**data):
    metadata = data.pop("metadata", {})
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


@pytest.fixture
def told(tmp_path):
    """Lesson 01 with made outputs of every kind, as a page."""
    taught = lesson("01")
    made = notebook(taught, solutions=True)
    gaps = {cell.id: cell.source for cell in notebook(taught, solutions=False).cells}
    cells = [cell for cell in made.cells if cell.cell_type == "code"]
    solved = next(cell for cell in cells if gaps[cell.id] != cell.source)
    svg = "<svg><title>finished &amp; done</title></svg>"
    cells[0].outputs = [
        output(**{WIDGET: {"model_id": "x"}, "image/svg+xml": svg, "text/plain": "Cockpit"}),
        output(**{WIDGET: {"model_id": "x"}, "text/plain": "a guess of ⟨3 points⟩"}),
        output(metadata={"image/jpeg": {"alt": "5 photos & <more>"}}, **{"text/plain": "5 photos"}),
        output(
            **{"text/html": "<table><tr><td><data>9</data></td></tr></table>", "text/plain": "9"}
        ),
        output(metadata={"tlcourse": {"claim": {"id": "01.1"}}}, **{"text/html": "<div>x</div>"}),
        nbformat.v4.new_output("stream", text="01.1 holds: it does, by ⟨9⟩ <b>\n"),
        nbformat.v4.new_output("stream", text="x < ``` and ⟨y⟩\n"),
    ]
    solved.outputs = [output(**{"image/png": "iVBORw0K", "text/plain": "curve"},
                             metadata={"image/png": {"alt": "the\ncurve", "width": 740}})]  # fmt: skip
    path = tmp_path / taught.notebook
    nbformat.write(made, path)
    return page_of(taught, path), solved.source, gaps[solved.id]


def test_a_page_shows_every_kind_of_output_in_words_or_pictures(told):
    page, _, _ = told
    text = page.text
    assert text.index(page.question) < text.index("Claims measured") < text.index("```python")
    assert "```{image} 01-01.svg\n:alt: finished & done\n```" in text
    assert "in the lesson this is live" in text
    assert "<b>Live in the lesson:</b> a guess of 3 points" in text
    assert "5 photos &amp; &lt;more&gt;" in text
    assert "<td><data>9</data></td>" in text
    assert '<p class="claim">01.1 holds: it does, by 9 &lt;b&gt;</p>' in text
    assert "````{raw} html\n" in text and "x &lt; ``` and y" in text
    assert page.claims == 1 and page.minutes and page.files["01-02.png"] == b"\x89PNG\r\n"


def test_a_solution_is_closed_behind_its_hints_and_the_gap_is_open(told):
    page, solution, gap = told
    closed = page.text.index("<summary>A solution, and what comes out</summary>")
    hinted = page.text.index("<summary>Hint 1 of ") if "check(" in solution else closed
    assert page.text.index(gap.strip()) < hinted <= closed < page.text.index(solution.strip())
    ends = page.text.index("</details>", closed)
    assert closed < page.text.index(":alt: the curve\n:width: 740px") < ends
    assert "<details open" not in page.text


@pytest.mark.browser
def test_pages_are_read_in_light_and_dark_and_on_a_phone_without_the_web(html):
    sync = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    taught = sorted((html / "lessons").glob("[0-9][0-9]-*.html"))[0]
    serve = functools.partial(Quiet, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}/"
        outside, raised, heavy = [], [], []
        with sync.sync_playwright() as player:
            browser = player.chromium.launch(
                executable_path=driver.executable(), args=["--no-sandbox"]
            )
            for scheme, width in (("light", 1280), ("dark", 390)):
                page = browser.new_page(
                    color_scheme=scheme, viewport={"width": width, "height": 800}
                )
                page.on("request", lambda asked: outside.append(asked.url))
                page.on("pageerror", lambda error: raised.append(str(error)))
                for name in ("index.html", "benchmarks.html", f"lessons/{taught.name}"):
                    page.goto(home + name)
                    body = page.locator("html")
                    assert body.evaluate("e => e.scrollWidth <= e.clientWidth"), (name, width)
                    shown = page.locator("img:visible").evaluate_all(
                        "all => Promise.all(all.map(one => one.decode().then(() => true, () => false)))"
                    )
                    assert all(shown)
                    heavy += [
                        f"{name} in {scheme}: {found['id']}"
                        for found in axe.run(page).response["violations"]
                        if found["impact"] in ("serious", "critical")
                    ]
            browser.close()
        server.shutdown()
    assert [url for url in outside if not url.startswith((home, "data:"))] == []
    assert raised == [] and heavy == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_what_the_pages_tell_to_type_exists():
    import tlcourse
    from tlcourse.cli.app import COMMANDS

    told = "\n".join(
        path.read_text(encoding="utf-8")
        for path in [make_docs.DOCS / "index.md", *(make_docs.DOCS / "lessons").glob("*.md")]
    )
    commands = set(re.findall(r"(?:`tlcourse|start\.py) ([a-z]+)", told))
    names = set(re.findall(r"\btl\.([A-Za-z]+)", told))
    assert {"lab", "doctor", "replay"} <= commands and {"check", "Recording"} <= names
    assert commands - set(COMMANDS) == set()
    assert [name for name in names if not hasattr(tlcourse, name)] == []
