"""The JavaScript that is sent to the browser, and the settings for JupyterLab."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from tlcourse.ui import lab_environment
from tlcourse.ui.bundle import STATIC, bundle, stylesheet

REPO = Path(__file__).parents[2]
VIEWS = [  # every widget with a module of its own says which files it is made of
    module
    for path in sorted(STATIC.parent.rglob("*.py"))
    if hasattr(
        module := import_module(
            ".".join(["tlcourse.ui", *path.relative_to(STATIC.parent).with_suffix("").parts])
        ),
        "MODULES",
    )
]
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="there is no node")


def test_every_module_is_in_the_bundle_after_those_it_imports():
    bundled = {name for view in VIEWS for name in view.MODULES}
    files = (path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js"))
    assert sorted(bundled) == sorted(files)
    for view in VIEWS:
        seen = set()
        for name in view.MODULES:
            text = (STATIC / name).read_text()
            for needed in re.findall(r'^import .* from "([\w./]+)";', text, re.MULTILINE):
                place = os.path.normpath(Path(name).parent / needed)
                assert Path(place).as_posix() in seen, f"{name} comes before {needed}"
            seen.add(name)


def test_the_bundle_is_one_module_that_reaches_for_nothing():
    for code in (bundle(view.MODULES) for view in VIEWS):
        assert not re.search(r"^\s*import\b", code, re.MULTILINE)
        assert code.count("export ") == 1 and re.search(
            r"^export default \{.* render \};", code, re.M
        )
    codes, styles = ([bundle(v.MODULES) for v in VIEWS], [stylesheet(v.SHEETS) for v in VIEWS])
    for text in (*codes, *styles):
        addresses = set(re.findall(r"https?://[^\s\"')]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}
        assert "url(http" not in text and "@import" not in text


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_names_are_unique_over_all_modules(view):
    pattern = r"^(?:async )?(?:function|const|let|class) (\w+)"
    declared = re.findall(pattern, bundle(view.MODULES), re.MULTILINE)
    assert len(declared) > 5
    assert [name for name, count in Counter(declared).items() if count > 1] == []


@needs_node
def test_the_bundle_is_valid_javascript(tmp_path):
    for number, view in enumerate(VIEWS):
        (tmp_path / f"view{number}.mjs").write_text(bundle(view.MODULES))
        subprocess.run(["node", "--check", tmp_path / f"view{number}.mjs"], check=True)


@needs_node
def test_the_pure_parts_of_the_view():
    tests = sorted(str(path) for path in Path(__file__).parent.glob("*.test.mjs"))
    done = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, cwd=REPO)
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"^. pass (\d+)$", done.stdout, re.MULTILINE)[1]) >= 20


@pytest.mark.skipif(not shutil.which("tsc"), reason="there is no tsc (npm install -g typescript)")
def test_the_types_of_the_view():
    done = subprocess.run(
        ["tsc", "--project", REPO / "tests" / "ui" / "tsconfig.json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_every_class_in_the_stylesheets_is_used():
    code = "\n".join((STATIC / name).read_text() for view in VIEWS for name in view.MODULES)
    styled = set(re.findall(r"\.(tlc[\w-]*)", "\n".join(stylesheet(v.SHEETS) for v in VIEWS)))
    assert styled - set(re.findall(r"[\" `](tlc-[\w-]+)", code)) - {"tlc"} == set()


def test_lab_is_told_to_save_widgets_and_keeps_other_folders():
    before = {"JUPYTER_CONFIG_PATH": os.pathsep.join(["/one", "/two"])}
    path = lab_environment(before)["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert path[1:] == ["/one", "/two"]
    overrides = json.loads(
        (Path(path[0]) / "labconfig" / "default_setting_overrides.json").read_text()
    )
    assert overrides["@jupyter-widgets/jupyterlab-manager:plugin"] == {"saveState": True}
    assert lab_environment(lab_environment(before)) == lab_environment(before)
