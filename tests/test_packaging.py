"""What a clone and a wheel promise: one lock for every Python and platform, nothing left out."""

import os
import re
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.cli.lab_process import lab

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import environment  # noqa: E402  tools/ is no package: start.py runs before anything is installed
import make_lock  # noqa: E402

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_is_in_step_with_pyproject():
    assert make_lock.faults(PYPROJECT, LOCK) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda p, k: (p.replace('"click>=8.1"', '"click>=99"'), k), "click>=99 is pinned to"),
        (lambda p, k: (p.replace('"click>=8.1"', '"left-out"'), k), "left-out is pinned 0 times"),
        (lambda p, k: (p, k.replace("\nhatchling==", "\nother==")), "hatchling is pinned 0 times"),
        (lambda p, k: (p, re.sub(r"(?s)(\nclick==\S+).*?\n(?=\w)", r"\1\n", k)), "has no hash"),
        (lambda p, k: (p, "--index-url https://example.org\n" + k), "line 1 names a place"),
        (lambda p, k: (p, k + "click==8.2.0 --hash=sha256:00\n"), "click is pinned 2 times"),
    ],
    ids=["too old", "missing", "backend", "no hash", "index", "twice"],
)
def test_a_lock_out_of_step_is_noticed(change, fault):
    assert fault in "\n".join(make_lock.faults(*change(PYPROJECT, LOCK)))


def test_an_old_python_hears_one_sentence():
    code = (
        f"import sys, runpy; sys.version_info = (3, 9); runpy.run_path({str(ROOT / 'start.py')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("tlcourse needs Python 3.11 or newer, and this is Python 3.9.")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text(f"# {name}\nuv==0.0 --hash=sha256:00\n")
    return tmp_path


def test_a_changed_lock_and_a_moved_clone_are_installed_anew(clone, tmp_path_factory):
    first = environment.fingerprint(clone, clone / ".venv")
    assert environment.fingerprint(clone, clone / ".venv") == first
    (clone / "requirements.lock").write_text("# newer\n")
    assert environment.fingerprint(clone, clone / ".venv") != first
    (clone / "requirements.lock").write_text("# requirements.lock\nuv==0.0 --hash=sha256:00\n")
    moved = clone.rename(tmp_path_factory.mktemp("elsewhere") / "clone")
    assert environment.fingerprint(moved, moved / ".venv") != first


def test_too_little_room_is_said_before_anything_is_made(clone):
    with pytest.raises(environment.SetupError, match="GB free.*Make room"):
        environment.check_space(clone, needed=10**18)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("NewConnectionError('…: Failed to establish')", "no network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "not the one that the lock promises"),
        ("ERROR: No matching distribution found for torch==1", "lacks a pinned package"),
        ("something else", "its lines above say why"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said, means):
    assert means in environment._reason(said)


@pytest.mark.slow
def test_without_network_one_sentence_and_the_next_start_tries_again(clone):
    tools, start = clone / "tools", clone / "start.py"
    tools.mkdir()
    (tools / "environment.py").write_text((ROOT / "tools" / "environment.py").read_text())
    start.write_text((ROOT / "start.py").read_text())
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    nowhere |= {"PATH": str(clone)}  # no uv there
    base = Path(sys.base_prefix, "bin", "python3")
    if not base.exists():
        pytest.skip("no Python outside of this environment")
    for _ in range(2):
        done = subprocess.run(
            [base, start, "lessons"], env=plain | nowhere, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "start.py: no network: the package index cannot be reached" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (clone / ".venv" / "tlcourse-installed").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_the_wheel_holds_everything_that_lies_in_the_package(wheel):
    """Everything that git knows of: cards, manifests, lessons, the front end, weights."""
    tracked = subprocess.run(
        ["git", "ls-files", "tlcourse"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    there = {name for name in tracked if (ROOT / name).exists()}
    if not there:
        pytest.skip("not a git clone")
    with zipfile.ZipFile(wheel) as opened:
        held = set(opened.namelist())
    assert there - held == set()
    for sign in (
        r"cards/.*\.toml",
        r"cards/.*\.tsv",
        r"course/lessons/\d\d-.*\.py",
        r"ui/static/.*js",
    ):
        assert any(re.search(sign, name) for name in held), sign
    assert not any(name.startswith(("tests/", "tools/", "notebooks/")) for name in held)


@pytest.mark.slow
def test_the_wheel_alone_opens_the_lab(wheel, tmp_path, monkeypatch):
    """Installed without the clone; the libraries come from this environment, to save gigabytes."""
    from uv import find_uv_bin

    monkeypatch.delenv("PYTHONPATH", raising=False)  # it may name the clone
    place = tmp_path / "venv"
    uv = [find_uv_bin(), "--quiet", "--offline"]
    subprocess.run([*uv, "venv", "--python", sys.executable, place], check=True)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [*uv, "pip", "install", "--no-deps", "--python", python, wheel]
    subprocess.run(install, check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    # A path in a .pth is searched, but its own .pth files (the clone's editable one) are not read.
    Path(site.stdout.strip(), "libraries.pth").write_text(sysconfig.get_path("purelib"))
    share = Path(sys.prefix, "share", "jupyter")
    environ = {"JUPYTER_PATH": str(share), "JUPYTERLAB_DIR": str(share / "lab")}

    empty = tmp_path / "empty"
    empty.mkdir()
    tlcourse = str(python.with_name("tlcourse.exe" if os.name == "nt" else "tlcourse"))
    told = subprocess.run([tlcourse, "cards"], cwd=empty, capture_output=True, text=True)
    assert told.returncode == 0 and "caltech24" in told.stdout, told.stderr
    told = subprocess.run([tlcourse, "test"], cwd=empty, capture_output=True, text=True)
    assert told.returncode == 1 and "clone the project" in told.stderr
    where = subprocess.run(
        [python, "-c", "import tlcourse; print(tlcourse.__file__)"],
        cwd=empty,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(place))
    with lab(cwd=empty, command=(tlcourse,), environ=environ) as running:
        page = running.root + f"lab?token={running.token}"
        with urllib.request.urlopen(page, timeout=60) as answer:
            assert b"jupyter-config-data" in answer.read()
        assert running.interrupt() == 0
    assert list((empty / "tlcourse-lessons").glob("*.ipynb"))


TRAIN = """
import datasets, tlcourse, torch, transformers
config = transformers.BertConfig(
    vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
)
options = dict(max_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True)
rows = [{"input_ids": torch.tensor([1, 2]), "labels": torch.tensor(0)}] * 8
transformers.Trainer(
    model=transformers.BertForSequenceClassification(config),
    args=transformers.TrainingArguments(output_dir=FOLDER, **options), train_dataset=rows,
).train()
print(datasets.Dataset.__module__, tlcourse.__file__)
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["the clone", "its parent", "elsewhere"])
def test_our_folder_datasets_hides_no_library(place, tmp_path):
    """transformers' Trainer fails where a folder `datasets` can be imported and Hugging Face's library
    cannot. The library is in the lock, and a package comes before a folder without `__init__`. (An
    exact editable install is no way out: from the parent of a clone called `tlcourse` it finds that
    folder.)"""
    folder = {"the clone": ROOT, "its parent": ROOT.parent, "elsewhere": tmp_path}[place]
    code = TRAIN.replace("FOLDER", repr(str(tmp_path)))
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == [
        "datasets.arrow_dataset",
        str(ROOT / "tlcourse/__init__.py"),
    ]
