"""What the server puts into a notebook as it is saved: no widget is lost, and each has its still."""

import copy
import json
from types import SimpleNamespace

import pytest

from tlcourse.ui.saving import OURS, STATE, STILL, VIEW, before_saving, complete

ID = f"{OURS}1"


def notebook(*ids, state=(), still="now"):
    """A cell with the views of these widgets, and the states of some."""
    states = {id: {"state": {"still": still, "layout": f"IPY_MODEL_{id}-l"}} for id in state}
    states |= {f"{id}-l": {"state": {}} for id in state}
    widgets = {STATE: {"version_major": 2, "version_minor": 0, "state": states}}
    outputs = [
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/plain": "Cockpit", VIEW: {"model_id": id}},
        }
        for id in ids
    ]
    return {
        "cells": [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": outputs}],
        "metadata": {"widgets": widgets},
    }


def states(made):
    return set(made["metadata"]["widgets"][STATE]["state"])


def shown(made):
    """(the widget that it shows or "", the still that it is or "") of each output."""
    return [
        (o["data"].get(VIEW, {}).get("model_id", ""), o["metadata"].get(STILL, ""))
        for o in made["cells"][1]["outputs"]
    ]


def test_a_still_stands_behind_each_widget_and_is_replaced_by_the_next():
    made = notebook(ID, "other", state=[ID, "other"])
    complete(made, {"cells": []})
    assert shown(made) == [(ID, ""), ("", ID), ("other", "")]
    assert "now" in made["cells"][1]["outputs"][1]["data"]["text/html"]
    made["metadata"]["widgets"][STATE]["state"][ID]["state"]["still"] = "later"
    complete(made, {"cells": []})
    assert shown(made) == [(ID, ""), ("", ID), ("other", "")]
    assert "later" in made["cells"][1]["outputs"][1]["data"]["text/html"]


def test_what_jupyterlab_drops_comes_from_the_file_with_its_parts():
    before = notebook(ID, "other", "gone", state=[ID, "other", "gone"], still="before")
    made = notebook(ID, "other")
    complete(made, before)
    assert states(made) == {ID, f"{ID}-l", "other", "other-l"}
    assert shown(made) == [(ID, ""), ("", ID), ("other", "")]
    complete(fresh := notebook(ID, state=[ID]), before)
    assert "now" in fresh["cells"][1]["outputs"][1]["data"]["text/html"]


def test_a_widget_that_nobody_has_is_left_to_its_still():
    before = notebook(ID, state=[ID])
    complete(before, {"cells": []})
    del before["metadata"]["widgets"]
    for _ in range(2):
        made = notebook(ID, "other")
        complete(made, before)
        assert shown(made) == [("", ""), ("", ID), ("other", "")]
        before = copy.deepcopy(made)
    complete(before, before)  # opened again and saved: the still stays by itself
    assert shown(before) == [("", ""), ("", ID), ("other", "")]


def test_a_notebook_without_widgets_is_left_alone(tmp_path):
    plain = {"cells": [{"cell_type": "code", "outputs": []}], "metadata": {}}
    complete(plain, notebook(ID, state=[ID]))
    assert plain == {"cells": [{"cell_type": "code", "outputs": []}], "metadata": {}}


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", "\udcff", json.dumps(notebook(ID, state=[ID]))]
)
def test_whatever_lies_in_the_files_place_the_save_goes_on(tmp_path, text):
    if text is not None:
        (tmp_path / "a.ipynb").write_bytes(text.encode(errors="surrogateescape"))
    server = SimpleNamespace(root_dir=str(tmp_path))
    made = notebook(ID)
    before_saving({"type": "notebook", "content": made}, "/a.ipynb", server)
    assert (ID in states(made)) == bool(text and ID in text)
    before_saving({"type": "file", "content": "x"}, "/a.txt", server)
    before_saving({"type": "notebook", "content": None}, "/a.ipynb", server)
