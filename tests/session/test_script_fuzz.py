"""No record's file can put code of its own into a script, whatever stands in it and wherever."""

import ast
import copy
import io
import json
import tokenize
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlcourse as tl
from tlcourse.cli import main
from tlcourse.errors import RecordError
from tlcourse.session.record import to_script as writer
from tlcourse.session.recording import Recording

from .conftest import Net
from .test_script import l2

CODE = "import os; os.system('SENTINEL')"
NASTY = [
    "'", '"', "'''", '"""', "\\", "\\'", "\n", "\r", "\0", "{", "}", "{0}", "{header}", "{{}}", "%s",
    f'"""\n{CODE}\n"""', f"'''\n{CODE}\n'''", f"\\\n{CODE}", f"x\n{CODE}\n#", f"x\r{CODE}\r#",
    f"x\x0c{CODE}", f"x\u2028{CODE}", f"x\u2029{CODE}", f"x\x85{CODE}", f"x'); {CODE}  #",
    f'x"); {CODE}  #', "__import__('os').system('SENTINEL')", "SENTINEL()", "1); SENTINEL(",
    "x=SENTINEL()", "1 + SENTINEL", "lambda: SENTINEL", "SENTINEL", "class", "__debug__", "\ud800",
    "\udfff'", "\u202e", "\x1b[2J", "\ufeff", "", " ", "ﬁ", "SENTINEL " * 3000,
]  # fmt: skip
WRONG = [
    None, True, False, -1, 0, 0.5, 10**9, 10**12, 10**400, -(10**400), [], {}, [[]], ["SENTINEL"],
    {"SENTINEL": CODE}, [None, CODE], float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
HANDS = [
    (1, tl.SetLR("mid.0-3", 1e-3)), (2, tl.Unfreeze("in, fixed", 1e-4)), (3, tl.Freeze("in, fixed")),
    (4, tl.Save("four")), (5, tl.AddLoRA("mid.0-3", rank=2, alpha=4, layers="0,1", lr=1e-3)),
    (6, tl.SetScale("lora", 0.5)), (7, tl.SwapHead("mlp", lr=1e-3)), (8, tl.SetWeight("l2", 0.1)),
    (9, tl.Augment(0.5)), (10, tl.Twin()), (11, tl.SetLR("head", 2e-3)), (12, tl.Evaluate()),
    (13, tl.Branch("other", at=10)), (14, tl.Rewind(9, branch="main")), (15, tl.Stop()),
]  # fmt: skip


def made_of(pictures, hands=(), **options):
    model = Net()
    model.groups = {"in, fixed": model.stem, "mid.0-3": model.body, "head": model.head}
    run = tl.Session(model, pictures, steps=16, lr=1e-2, seed=-7, **options)
    for step, command in hands:
        run.at(step, command)
    run.run()
    rows = [json.loads(line) for line in run.record.lines()]
    rows[0]["model"] = {"name": "pocket-glyphs", "classes": ["a", "b"], "seed": 0}
    rows[0]["data"] = {"name": "digits", "domain": None, "part": [0, 1], "of": {"name": "digits"}}
    return rows


@pytest.fixture(scope="module")
def rows(pictures):
    with_terms = {"terms": {"l2": l2}, "weights": {"l2": 0.01}}
    return made_of(pictures, HANDS, freeze="in, fixed", **with_terms)


@pytest.fixture(scope="module")
def known(pictures, rows):
    """Every statement that scripts are made of, up to constants."""
    plain = made_of(pictures)
    variants = [rows, plain]
    for start in (rows, plain):
        for change in (
            {"accumulate": 2}, {"precision": "bf16"}, {"optimizer": "sgd"}, {"layout": "contiguous"},
            {"augment": 0.5}, {"augment": 0}, {"freeze_stats": False}, {"weights": {}},
            {"weights": {"a": 1}}, {"accumulate": 2, "weights": {}},
            {"accumulate": 2, "precision": "bf16"}, {"precision": "bf16", "weights": {}},
            {"accumulate": 2, "precision": "bf16", "weights": {}}, {"freeze": []},
        ):  # fmt: skip
            variants.append(changed(start, recipe=start[0]["recipe"] | change))
        for header in (
            {"model": None}, {"data": None}, {"model": None, "data": None}, {"loss": "f.<locals>.g"},
            {"device": "cuda:0"}, {"device": "cuda"}, {"model": {"name": "pocket-glyphs"}},
        ):  # fmt: skip
            variants.append(changed(start, **header))
    for change in (
        {"scale": 0.25},
        {"name": "its own", "scale": 0.25},
        {"lr": 0.5},
        {"stats": False},
    ):
        for at in range(len(rows)):
            if rows[at].get("command", {}).get("kind") in ("set_lr", "set_scale"):
                variant = copy.deepcopy(rows)
                variant[at]["state"]["groups"][-2] |= change
                variants.append(variant)
    found = set(statements("pass"))
    for variant in variants:
        with suppress(RecordError):
            found |= statements(script_of(variant))
    return found


def changed(rows, **header):
    return [rows[0] | header, *rows[1:]]


def text_of(rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def script_of(rows):
    return tl.to_script(tl.Record.read(text_of(rows), "r.jsonl"))


class Blank(ast.NodeTransformer):
    """All constants alike, and so all lists and the like of constants."""

    def generic_visit(self, node):
        super().generic_visit(node)
        parts = [getattr(node, name, ()) for name in ("elts", "keys", "values", "operand")]
        parts = [one for part in parts for one in (part if isinstance(part, list) else [part])]
        whole = isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict | ast.UnaryOp)
        if whole and all(isinstance(part, ast.Constant) for part in parts if part):
            return ast.Constant(0)
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("load_data", "load_model"):
                node.keywords = [k for k in node.keywords if not isinstance(k.value, ast.Constant)]
            if called == "set" and not node.args:
                return ast.Constant(0)
        return node

    def visit_Constant(self, node):
        return ast.Constant(0)


@cache
def statements(script):
    found = set()
    for node in ast.walk(Blank().visit(ast.parse(script))):
        if isinstance(node, ast.stmt):
            for body in ("body", "orelse"):
                if getattr(node, body, None):
                    setattr(node, body, [ast.Pass()])
            found.add(ast.dump(node))
    return found


def refused_or_harmless(rows, known):
    """Whether there is a script, in which all is as it ever is."""
    try:
        script = script_of(rows)
    except RecordError as error:
        assert len(str(error).splitlines()) == 1
        return False
    strange = statements(script) - known
    assert not strange, (strange, script)
    for token in tokenize.generate_tokens(io.StringIO(script).readline):
        if token.type not in (tokenize.STRING, tokenize.COMMENT):
            keyword = token.string == "SENTINEL" and "SENTINEL=" in token.line
            assert "SENTINEL" not in token.string or keyword, token
    return True


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):  # of losses and groups: the others are alike
            yield from places(inner, (*path, index))


def put(rows, path, hostile, how):
    """A copy with hostile text in a place: as the value, as its key, or as another key in it."""
    rows = copy.deepcopy(rows)
    *way, last = path
    holder = rows
    for key in way:
        holder = holder[key]
    if how == "value":
        holder[last] = hostile
    elif how == "key" and isinstance(holder, dict):
        items = [(str(hostile) if key == last else key, value) for key, value in holder.items()]
        holder.clear()
        holder.update(items)
    elif how == "inside" and isinstance(holder[last], dict):
        holder[last][str(hostile)] = hostile
    return rows


def all_places(rows):
    """In the header, and in the first row of each kind of event and of command."""
    firsts = {
        (row.get("kind"), row.get("command", {}).get("kind")): at
        for at, row in reversed(list(enumerate(rows)))
    }
    whole = {
        None,
        "set_lr",
        "add_lora",
        "swap_head",
    }  # the states after the other commands are alike
    found = []
    for (_, command), at in firsts.items():
        found += [
            (at, *path) for path in places(rows[at]) if command in whole or "state" not in path
        ]
    return sorted(found, key=str)


def test_a_clean_record_is_a_script_of_known_statements(rows, known):
    assert refused_or_harmless(rows, known) and len(all_places(rows)) > 150
    strange = script_of(rows).replace("losses = []", f"losses = []\n{CODE}")
    assert statements(strange) - known


@pytest.mark.parametrize(
    ("hostile", "how"),
    [
        ("SENTINEL", "value"), (f'"""\n{CODE}\n"""', "value"), ("1); SENTINEL(", "value"),
        ("1); SENTINEL(", "key"), ("1); SENTINEL(", "inside"),
    ],
)  # fmt: skip
def test_code_in_any_place_stays_text(rows, known, hostile, how):
    ran = [refused_or_harmless(put(rows, p, hostile, how), known) for p in all_places(rows)]
    assert how == "value" or any(ran)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    draw=st.data(),
    hostile=st.sampled_from(NASTY + WRONG) | st.text() | st.integers() | st.floats(),
    how=st.sampled_from(["value", "key", "inside"]),
)
def test_anything_in_any_place_is_refused_in_one_sentence_or_harmless(
    rows, known, tmp_path_factory, capsys, draw, hostile, how
):
    strange = put(rows, draw.draw(st.sampled_from(all_places(rows))), hostile, how)
    written = refused_or_harmless(strange, known)
    path = tmp_path_factory.mktemp("fuzz") / "r.jsonl"
    path.write_text(text_of(strange), encoding="utf-8", errors="surrogatepass")
    try:
        assert Recording.load(path).length > 0
    except RecordError as error:
        assert len(str(error).splitlines()) == 1
    assert main(["replay", "--script", str(path)]) == (0 if written else 2)
    told = capsys.readouterr().err
    assert "Traceback" not in told and len(told.strip().splitlines()) == (0 if written else 1)


@pytest.mark.parametrize(
    "line",
    ["[" * 100_000, '{"a":' * 400 + "1" + "}" * 400, "1", '"a"', "null", "[]", "1e999", "9" * 5000],
    ids=["brackets", "objects", "number", "string", "null", "list", "infinite", "digits"],
)
def test_a_line_that_is_no_record_is_refused(rows, known, line):
    for at in range(len(rows)):
        assert not refused_or_harmless([*rows[:at], line, *rows[at + 1 :]], known)


def test_a_name_may_hold_a_line_separator(rows, known):
    strange = json.loads(json.dumps(rows).replace("mid.0-3", "mid\u2028\x85"))
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in strange)
    assert "mid\\u2028\\x85" in tl.to_script(tl.Record.read(text, "r.jsonl"))


def test_a_record_that_was_never_in_a_file_is_checked_too(rows):
    record = tl.Record.read(text_of(rows), "r.jsonl")
    record.header["threads"] = "1); SENTINEL("
    with pytest.raises(RecordError, match="threads must be a whole number from 1 to 4096, not '1"):
        tl.to_script(record)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("threads", 0, "threads must be a whole number from 1 to 4096, not 0"),
        ("loss", "f(x)", "loss must be a function's name"),
        ("device", "cuda\n", "device must be a device such as"),
        ("model", {"name": "x", "a b": 1}, "model must be null or an object of arguments"),
        ("groups", {"head": -1}, "groups must be an object"),
        ("weights_sha256", "x", "weights_sha256 must be"),
        ("recipe", {"steps": 1.5}, "recipe.steps must be a whole number"),
        ("recipe", {"lr": {}}, "recipe.lr must be"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(rows, field, value, says):
    with pytest.raises(RecordError, match=f"r.jsonl, line 1 .*: {says}"):
        tl.Record.read(text_of(changed(rows, **{field: value})), "r.jsonl")


def test_only_code_enters_a_script_as_code():
    assert writer.code("f({}, {x})", "a'\n", x=writer.Code("b")) == 'f("a\'\\n", b)'
    assert writer.comment("a\nb\u2028c") == "a b c"
    assert writer.docstring('a"""\\\nb') == "a b"
    for wrong in ("a b", "class", "__debug__", "x=1", "ﬁ", ""):
        with pytest.raises(RecordError):
            writer.argument(wrong)
    for wrong in (float("nan"), {1, 2}, print, "\ud800"):
        with pytest.raises(RecordError):
            writer.code("{}", wrong)
