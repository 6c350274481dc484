"""One source, three notebooks."""

import json

import pytest

from tests.course.conftest import SAMPLE
from tlcourse.course import build
from tlcourse.course.build import faults, for_reference, notebook
from tlcourse.errors import CourseError
from tlcourse.measure import claims


def sources(made) -> list[str]:
    return [cell.source for cell in made.cells]


def test_a_lesson_says_what_it_is(write_lesson):
    taught = write_lesson()
    assert (taught.number, taught.name, taught.title) == ("42", "sample", "A sample")
    assert taught.tiers == ("pocket", "public")
    assert taught.cards["public"] == ("caltech24", "mobilenetv2")
    assert taught.notebook == "42-sample.ipynb"


def test_the_solution_stays_in_the_reference_and_leaves_the_learners_copy(write_lesson):
    taught = write_lesson()
    solved, opened = (notebook(taught, solutions=s).cells[3].source for s in (True, False))
    assert "    count += number\ncount = count or 3" in solved
    assert "    ...  # your turn\ncount = count or 3" in opened
    for text in (solved, opened):
        assert "SOLUTION" not in text and "# END" not in text


def test_a_solution_without_an_end_is_refused(write_lesson):
    taught = write_lesson(SAMPLE.replace("    # END\n", ""))
    with pytest.raises(CourseError, match="SOLUTION.*without its partner"):
        notebook(taught, solutions=False)


def test_the_same_lesson_gives_the_same_bytes(write_lesson):
    import nbformat

    taught = write_lesson()
    first, second = (nbformat.writes(notebook(taught, solutions=True)) for _ in range(2))
    assert first == second


def test_a_new_cell_leaves_the_other_cells_ids_alone(write_lesson):
    before = notebook(write_lesson(), solutions=True)
    after = notebook(
        write_lesson(SAMPLE.replace("# Some words.\n", "# Some words.\n\n# %%\nnew = 1\n")),
        solutions=True,
    )
    ids = [cell.id for cell in before.cells]
    assert [cell.id for cell in after.cells if cell.source != "new = 1"] == ids
    assert len(set(cell.id for cell in after.cells)) == len(ids) + 1


def test_equal_cells_have_different_ids(write_lesson):
    made = notebook(write_lesson(SAMPLE + "\n# %%\n1\n\n# %%\n1\n"), solutions=True)
    assert sources(made)[-2:] == ["1", "1"]
    assert made.cells[-1].id != made.cells[-2].id


def executed(*outputs: dict):
    import nbformat

    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.from_dict(one) for one in outputs])
    return nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": 1}})


FIGURE = {
    "output_type": "display_data",
    "data": {
        "image/png": "iVBO",
        "text/plain": "<Figure>",
        "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
    },
    "metadata": {"tlcourse": {"id": "42.1"}},
}


def test_the_tests_reference_has_no_pictures_and_no_widgets():
    made = for_reference(executed(FIGURE), "pocket")
    assert made.cells[0].outputs[0].data == {"text/plain": "<Figure>"}
    assert "widgets" not in made.metadata


def test_the_readers_reference_keeps_them():
    made = for_reference(executed(FIGURE), "public")
    assert "image/png" in made.cells[0].outputs[0].data
    assert made.metadata["widgets"] == {"state": 1}


def test_a_lens_stays_as_its_last_picture():
    view = "application/vnd.jupyter.widget-view+json"
    data = {view: {"model_id": "a"}, "image/png": "aGk=", "text/plain": "a lens"}
    made = executed({"output_type": "display_data", "metadata": {}, "data": dict(data)})
    state = {"a": {"state": {"seen": {}, "layout": "IPY_MODEL_b"}}, "b": {"state": {}}, "c": {}}
    made.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    kept = for_reference(made, "public")
    assert set(kept.cells[0].outputs[0]["data"]) == {"image/png", "text/plain"}
    left = kept.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert list(left) == ["c"]


def test_outputs_that_should_not_be_shown_are_found():
    import sys

    noise = {"output_type": "stream", "name": "stderr", "text": "Warning: old"}
    path = {"output_type": "stream", "name": "stdout", "text": f"saved in {sys.prefix}/x"}
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    assert faults(executed(FIGURE)) == []
    assert "stderr: Warning: old" in faults(executed(noise))[0]
    assert sys.prefix in faults(executed(path))[0]
    assert "ValueError: no" in faults(executed(error))[0]


def test_new_words_are_taken_over_and_outputs_stay(write_lesson, tmp_path, monkeypatch):
    import nbformat
    from nbformat.v4 import new_output

    monkeypatch.setitem(build.REFERENCES, "pocket", tmp_path)
    made = notebook(taught := write_lesson(), solutions=True)
    ran = [cell for cell in made.cells if cell.cell_type == "code"]
    for at, cell in enumerate(ran, 1):
        cell.execution_count, cell.outputs = at, [new_output("stream", text=f"{at}\n")]
    build.write(made, tmp_path / taught.notebook)

    build.reword(write_lesson(SAMPLE.replace("# Some words.\n", "# Better words.\n")), "pocket")
    found = nbformat.read(tmp_path / taught.notebook, as_version=4)
    assert any("Better words." in cell.source for cell in found.cells)
    assert [cell for cell in found.cells if cell.cell_type == "code"] == ran

    with pytest.raises(CourseError, match="code of lesson 42 has changed"):
        build.reword(write_lesson(SAMPLE.replace("count or 3", "count or 4")), "pocket")


def test_what_was_executed_is_taken_over_if_its_claims_held(write_lesson, tmp_path, monkeypatch):
    taught, place = write_lesson(), tmp_path / "claims" / "42-pocket"
    monkeypatch.setitem(build.REFERENCES, "pocket", tmp_path / "references")
    build.write(notebook(taught, solutions=True), place / taught.notebook)
    with pytest.raises(CourseError, match="run `tlcourse claims --tier pocket` first"):
        build.take(taught, "pocket", tmp_path / "claims")

    def told(holds: bool) -> None:
        claim = claims.claim("42.1", "It is so.", 0.5, at_least=0.1).as_json() | {"holds": holds}
        figures = {
            "lesson": "42", "title": "A sample", "tier": "pocket", "seconds": 1.0, "passed": True,
            "versions": {"python": "3.11"}, "figures": [{"cell": 1, "claim": claim}],
            "hardware": {"system": "Linux", "processor": "a CPU", "cores": 2, "gpu": None},
        }  # fmt: skip
        (place / "42-figures.json").write_text(json.dumps(figures))

    told(holds=False)
    with pytest.raises(CourseError, match="42.1 failed. Nothing was taken over"):
        build.take(taught, "pocket", tmp_path / "claims")
    assert not (tmp_path / "references").exists()
    told(holds=True)
    assert build.take(taught, "pocket", tmp_path / "claims").exists()
