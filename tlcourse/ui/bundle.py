"""The browser's JavaScript as the single module that anywidget takes: no build step, no network."""

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
MODULES = (
    "format.js",
    "dom.js",
    "keep.js",
    "model/stretches.js",
    "model/reduce.js",
    "model/curve.js",
    "model/lines.js",
    "model/lanes.js",
    "chart/scale.js",
    "chart/meters.js",
    "chart/panels.js",
    "chart/measures.js",
    "chart/paint.js",
    "chart/marks.js",
    "chart/zoom.js",
    "chart/spoken.js",
    "chart/chart.js",
    "controls/header.js",
    "controls/timeline.js",
    "controls/levers.js",
    "controls/row.js",
    "controls/groups.js",
    "controls/log.js",
    "cockpit.js",
)
SHEETS = ("cockpit.css", "chart/chart.css", "controls/controls.css")

_IMPORT = re.compile(r'^import \{[^}]*\} from "\.{1,2}/[\w/.]+\.js";\n', re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(//.*|/\*(?:(?!\*/)[\s\S])*\*/[ \t]*)\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(async )?(function|const|class) )", re.MULTILINE)


def bundle(modules: tuple[str, ...] = MODULES) -> str:
    """The modules in one text, each before those that import it.

    Their imports of each other and `export` before declarations are dropped, so names must be unique
    over all modules (a test checks that). The last one's `export default` stays. Comments on lines of
    their own are left out, since every saved notebook holds this text.
    """
    texts = [_COMMENT.sub("", (STATIC / name).read_text(encoding="utf-8")) for name in modules]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def stylesheet(sheets: tuple[str, ...] = SHEETS) -> str:
    return "\n".join(
        _COMMENT.sub("", (STATIC / name).read_text(encoding="utf-8")) for name in sheets
    )
