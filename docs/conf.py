"""Sphinx's settings for the pages that tools/make_docs.py gathers. Nothing is fetched when they are
built, and nothing when they are read: formulas are MathML, which browsers draw by themselves."""

from typing import Any

from docutils.nodes import SkipNode

project = "tlcourse"
html_title = "tlcourse"
author = "the tlcourse authors"
copyright = author
extensions = ["myst_parser"]
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
