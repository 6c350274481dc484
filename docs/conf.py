"""Sphinx's settings for the pages that tools/make_docs.py gathers. Nothing is fetched when they are
built, and nothing when they are read."""

project = "tlcourse"
html_title = "tlcourse"
author = "the tlcourse authors"
copyright = author
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "attrs_inline"]
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
