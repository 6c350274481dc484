"""The command line's door: one sentence and an exit code for what a person can mend."""

import ast
from pathlib import Path

import pytest

import tlcourse
from tlcourse import cards, errors
from tlcourse.cli import main
from tlcourse.cli.app import COMMANDS, anchor, app


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"Usage: tlcourse {name}" in capsys.readouterr().out
    assert app.get_command(None, name).help


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["run"], 2, "Name lessons by number, such as 01 02, or say --all."),
        (["run", "77"], 1, "No lesson '77'. The lessons are:"),
        (["run", "01", "--tier", "huge"], 2, "'huge' is not one of"),
        (["run", "01", "--timeout", "-1"], 2, "'--timeout'"),
        (["reset", "77"], 1, "No lesson '77'"),
        (["replay", "nowhere.jsonl"], 2, "No record 'nowhere.jsonl'"),
        (["lab", "--port", "0"], 2, "'--port'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_no_traceback(arguments, code, sentence, capsys):
    assert main(arguments) == code
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_a_record_that_is_no_record_is_refused(tmp_path, capsys):
    (tmp_path / "x.jsonl").write_text("not json\n")
    assert main(["replay", str(tmp_path / "x.jsonl")]) == errors.RecordError.exit_code
    assert "x.jsonl" in capsys.readouterr().err


def test_ctrl_c_says_at_least_that_it_stopped(monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tlcourse.cli.overview.lessons", stopped)
    assert main(["lessons"]) == 130
    assert capsys.readouterr().err.strip() == "tlcourse: stopped."


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("tlcourse.cli.overview.lessons", broken)
    with pytest.raises(ZeroDivisionError, match="ours"):
        main(["lessons"])


def test_the_version_is_told(capsys):
    import tlcourse

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tlcourse {tlcourse.__version__}\n"


@pytest.mark.parametrize("arguments", [["lessons"], ["lab", "--no-browser"], ["run", "01"]])
def test_a_tier_that_is_none_is_refused_at_once(arguments, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLCOURSE_TIER", "moon")
    assert main(arguments) == errors.TierError.exit_code
    assert "TLCOURSE_TIER=moon: no such tier" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_advice_calls_the_command_as_it_is_called_here(monkeypatch, capsys):
    monkeypatch.setenv("TLCOURSE_COMMAND", "python start.py")
    with pytest.raises(errors.CardError, match="Run `python start.py cards pin t5-small` once"):
        cards.get("t5-small")
    with pytest.raises(
        errors.ModelError, match="run `python start.py cards pin hf/some/bert` once"
    ):
        tlcourse.load_model("hf/some/bert", classes=2)
    assert main(["replay", "nowhere.jsonl"]) == 2
    assert "`python start.py run NN` writes them" in capsys.readouterr().err
    assert main(["run"]) == 2
    assert "Try 'python start.py run --help' for help." in capsys.readouterr().err


def test_no_sentence_has_the_command_word_typed_in():
    """`spoken` knows it. A mirror's README is for those who installed the package from there."""
    package = Path(tlcourse.__file__).parent
    typed = []
    for path in {*package.rglob("*.py")} - {package / "supply" / "mirror" / "pages.py"}:
        for text in sentences(ast.parse(path.read_text("utf-8"))):
            if "`tlcourse " in text:
                typed.append(f"{path.relative_to(package)}: {text}")
    assert typed == []


def sentences(tree: ast.Module) -> list[str]:
    """Every string that is not a docstring."""
    described = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in described
    ]


def test_a_lesson_put_back_says_what_to_do_in_the_browser(tmp_path, capsys):
    from tlcourse.course import lesson
    from tlcourse.course.folder import prepare

    prepare(tmp_path, [lesson("01")])
    assert main(["reset", "01", str(tmp_path)]) == 0
    assert "If it is open in the browser, choose Revert there." in capsys.readouterr().out


def test_a_relative_mirror_means_the_folder_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {"TLCOURSE_MIRROR": "https://example.org/m, ../mirror", "TLCOURSE_HOME": "cache"}
    anchor(environ)
    assert environ["TLCOURSE_MIRROR"] == f"https://example.org/m,{tmp_path / '..' / 'mirror'}"
    assert environ["TLCOURSE_HOME"] == str(tmp_path / "cache")
    anchor(untouched := {"TLCOURSE_MIRROR": " "})
    assert untouched == {"TLCOURSE_MIRROR": " "}
