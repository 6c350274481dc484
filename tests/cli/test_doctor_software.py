"""Doctor looks at Python, libraries, kernel and widgets: each of them goes wrong here, for real."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.installed import by_id, install
from tlcourse.cli.checks import software


def test_the_libraries_here_are_those_the_course_needs():
    found = by_id(software.libraries())
    assert {"package-torch", "package-jupyterlab", "package-anywidget"} <= set(found)
    assert [one for one in found.values() if one.status != "ok"] == []


@pytest.mark.parametrize(
    ("name", "version", "status", "words"),
    [
        ("ipykernel", "6.31.0", "warning", "clicks wait"),
        ("notebook", "6.5.7", "warning", "Notebook 7"),
        ("jupyterlab", "3.6.8", "blocks", "needs >=4.4"),
        ("anywidget", "0.9.3", "blocks", "needs >=0.9.18"),
        ("click", "7.1", "blocks", "needs >=8.1"),
    ],
)
def test_a_version_known_to_be_bad_is_named_with_its_cure(site, name, version, status, words):
    install(site, name, version)
    found = by_id(software.libraries())[f"package-{name}"]
    assert (found.seen, found.status) == (version, status) and words in found.cure


def test_versions_that_work_are_left_alone():
    assert software.known_trouble("ipykernel", "7.3.0") is None
    assert software.known_trouble("torch", "2.6.0") is None


def test_a_library_that_is_missing_blocks(site):
    install(
        site,
        "tlcourse",
        "0.1.0",
        "Requires-Dist: no-such-library>=2",
        "Requires-Dist: x; extra=='y'",
    )
    found = by_id(software.libraries())
    assert found["package-no-such-library"].seen == "missing" and "package-x" not in found
    assert (
        found["package-no-such-library"].blocks
        and "start.py" in found["package-no-such-library"].cure
    )


def test_a_python_that_is_too_old_blocks(site):
    assert software.python().status == "ok"
    install(site, "tlcourse", "0.1.0", "Requires-Python: >=3.99")
    assert software.python().blocks and "needs Python >=3.99" in software.python().cure


def test_torch_and_torchvision_that_are_not_a_pair_are_noticed_unimported(site):
    assert list(software.pair()) == []
    install(site, "torchvision", "0.21.0+cu124", "Requires-Dist: torch==2.6.0")
    (found,) = software.pair()
    assert "built for torch==2.6.0, not" in found.seen and found.blocks
    install(site, "torch", "2.6.0+cpu")
    (found,) = software.pair()
    assert "2.6.0+cpu and torchvision 0.21.0+cu124 are of different builds" in found.seen
    assert "together, from the same index" in found.cure


def kernelspec(folder: Path, text: str) -> Path:
    (folder / "kernels" / "python3").mkdir(parents=True)
    (folder / "kernels" / "python3" / "kernel.json").write_text(text)
    return folder


def test_the_kernel_is_this_python():
    assert software.kernel(software.jupyter_folders()).status == "ok"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (json.dumps({"argv": ["/nowhere/python", "-m", "ipykernel"]}), "blocks", "no such program"),
        (json.dumps({"argv": [shutil.which("sh"), "-m"]}), "warning", "another Python than this"),
        ("{", "blocks", "cannot be read"),
        ("{}", "blocks", "cannot be read"),
        (json.dumps({"argv": [sys.executable]}), "ok", None),
    ],
)
def test_a_kernel_of_another_python_is_noticed(tmp_path, text, status, words):
    found = software.kernel([tmp_path / "empty", kernelspec(tmp_path / "share", text)])
    assert found.status == status and (words is None or words in found.cure)


def test_no_kernel_at_all_blocks(tmp_path):
    assert software.kernel([tmp_path]).blocks


def test_widgets_without_their_browser_half_block(tmp_path):
    assert software.widgets(software.jupyter_folders()).status == "ok"
    half = tmp_path / "labextensions" / "anywidget"
    half.mkdir(parents=True)
    (half / "package.json").write_text("{}")
    found = software.widgets([tmp_path])
    assert found.blocks and found.seen == "JupyterLab lacks @jupyter-widgets/jupyterlab-manager"
    assert "anywidget" in software.widgets([]).seen
