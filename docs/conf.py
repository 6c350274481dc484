"""Sphinx's settings for the pages that tools/make_docs.py gathers. Nothing is fetched when they are
built, and nothing when they are read: formulas are MathML, which browsers draw by themselves."""

import re
from typing import Any

from docutils.nodes import SkipNode

project = "tlcourse"
html_title = "tlcourse"
author = "the tlcourse authors"
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # cross_entropy, not <function cross_entropy at …>
default_role = "code"  # a docstring writes `code` as Markdown does
myst_enable_extensions = ["colon_fence", "attrs_inline", "dollarmath"]
myst_dmath_allow_digits = False  # $5 is a price
html_math_renderer = "mathml"
myst_heading_anchors = 3
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
smartquotes = False
suppress_warnings = ["myst.header"]  # a lesson's cells begin at any depth
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a8d", "color-brand-content": "#005a8d"},
    "dark_css_variables": {"color-brand-primary": "#7cc4ec", "color-brand-content": "#7cc4ec"},
}


def setup(app: Any) -> None:
    def visit(display: str) -> Any:
        def write(translator: Any, node: Any) -> None:
            from latex2mathml.converter import convert

            translator.body.append(convert(node.astext(), display=display))
            raise SkipNode

        return write

    app.add_html_math_renderer("mathml", (visit("inline"), None), (visit("block"), None))
    app.connect("autodoc-process-docstring", lambda *event: as_rst(event[-1]))


def as_rst(lines: list[str]) -> None:
    """Make a docstring's lines reStructuredText, in place: plain text with `code`, in which an indented
    block is code or a drawing, and * | _ are themselves. What is said of an argument, `name: …`, becomes
    a paragraph of its own."""
    written: list[str] = []
    indented = example = False
    for line in lines:
        text = line.lstrip()
        example = bool(text) and (example or text.startswith(">>>"))
        if text and line != text and not example:
            if not indented:
                written += ["", "::", ""]
            indented = True
        elif text:
            if indented:
                written.append("")
            indented = False
        if indented or example:
            written.append(line)
            continue
        if re.match(r"[a-z]\w*(, \w+)*: ", text) and written and written[-1].endswith((".", ")")):
            written.append("")
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*|\\_])", r"\\\1", part) for part in parts[::2]]
        written.append("".join(parts))
    lines[:] = written
