"""What JupyterLab's server does when a notebook is saved, so that its widgets are there again.

JupyterLab writes the widgets whose kernel it reaches at that moment, and drops all others: a save after
a restart, or before a reopened notebook has loaded its widgets, loses them. So what a save would lose is
taken from the file that it replaces. After each widget of ours stands a still of it, which shows where
no widget runs, as in a web page without network; and an output whose widget nobody has is left to it.

The server loads this module as an extension (`jupyter/jupyter_server_config.d`).
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

OURS = "tlcourse-"  # how the id of a widget of ours begins
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
STILL = "tlcourse_still"  # in an output's metadata: the id of the widget that it is a still of
HIDDEN = (  # while the widget itself is there
    "<style>.jp-OutputArea-child:has(.tlc) + .jp-OutputArea-child:has(.tlc-still) "
    "{ display: none; }</style>"
)

Json = dict[str, Any]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(before_saving)


def before_saving(model: Json, path: str, contents_manager: Any, **_: Any) -> None:
    if model.get("type") == "notebook" and (notebook := model.get("content")):
        complete(notebook, _on_disk(Path(contents_manager.root_dir, path.strip("/"))))


def complete(notebook: Json, before: Json) -> None:
    """Put into `notebook` what its outputs need. before: the notebook that it replaces."""
    shown = [output for output in _outputs(notebook) if _id(output)]
    state, old = _states(notebook), _states(before)
    wanted = [_id(output) for output in shown]
    while wanted:
        if (id := wanted.pop()) not in state and id in old:
            state[id] = old[id]
            wanted += _parts(old[id])
    if shown and state:
        about = notebook.setdefault("metadata", {}).setdefault("widgets", {})
        about[STATE] = {"version_major": 2, "version_minor": 0, "state": state}
    stills = {_still_of(o): o for o in [*_outputs(before), *_outputs(notebook)] if _still_of(o)}
    for cell in notebook["cells"]:
        if "outputs" in cell:
            cell["outputs"] = _with_stills(cell["outputs"], state, stills)


def _with_stills(outputs: list[Json], state: Json, stills: dict[str, Json]) -> list[Json]:
    """The outputs, each of our widgets with its newest still behind it."""
    shown, found = {_id(output) for output in outputs} - {""}, []
    for output in outputs:
        if _still_of(output) in shown:
            continue  # an older one: it comes again behind its widget
        found.append(output)
        if not (id := _id(output)).startswith(OURS):
            continue
        if html := state.get(id, {}).get("state", {}).get("still"):
            found.append(_still(id, html))
        elif id in stills:
            found.append(stills[id])
        if id not in state:
            del output["data"][VIEW]
    return found


def _still(id: str, html: str) -> Json:
    data = {"text/html": f'{HIDDEN}<div class="tlc-still">{html}</div>'}
    return {"output_type": "display_data", "data": data, "metadata": {STILL: id}}


def _on_disk(path: Path) -> Json:
    with suppress(OSError, ValueError):
        read = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(read, dict) and isinstance(read.get("cells"), list):
            return read
    return {"cells": []}


def _outputs(notebook: Json) -> list[Json]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", ())]


def _states(notebook: Json) -> Json:
    widgets = notebook.get("metadata", {}).get("widgets", {})
    return dict(widgets.get(STATE, {}).get("state", {}))


def _id(output: Json) -> str:
    """Of the widget that an output shows, or ""."""
    return output.get("data", {}).get(VIEW, {}).get("model_id", "")


def _still_of(output: Json) -> str:
    return output.get("metadata", {}).get(STILL, "")


def _parts(entry: Json) -> list[str]:
    """The widgets that a widget's state names, such as its layout."""
    text = json.dumps(entry.get("state", {}))
    return [part.split('"')[0] for part in text.split('"IPY_MODEL_')[1:]]
