"""The view's JavaScript as the one module that anywidget takes: no build step, no network."""

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
MODULES = (
    "format.js",
    "streams.js",
    "reduce.js",
    "dom.js",
    "curve.js",
    "lines.js",
    "scale.js",
    "meters.js",
    "panels.js",
    "measures.js",
    "paint.js",
    "marks.js",
    "zoom.js",
    "spoken.js",
    "chart.js",
    "header.js",
    "lanes.js",
    "timeline.js",
    "levers.js",
    "row.js",
    "groups.js",
    "log.js",
    "cockpit.js",
)
SHEETS = tuple(
    name for name in ("cockpit.css", "chart.css", "controls.css") if (STATIC / name).exists()
)

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[\w]+\.js";\n', re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(//.*|/\*(?:(?!\*/)[\s\S])*\*/[ \t]*)\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(async )?(function|const|class) )", re.MULTILINE)


def bundle(modules: tuple[str, ...] = MODULES) -> str:
    """The modules one after another, each before those that import it.

    Imports of each other and `export` before a declaration are dropped; so a name must be unique
    over all modules (a test checks that). The last one's `export default` stays. Comments that have
    lines of their own are left out: every saved notebook carries all of this.
    """
    texts = [_COMMENT.sub("", (STATIC / name).read_text(encoding="utf-8")) for name in modules]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def stylesheet(sheets: tuple[str, ...] = SHEETS) -> str:
    return "\n".join(
        _COMMENT.sub("", (STATIC / name).read_text(encoding="utf-8")) for name in sheets
    )
