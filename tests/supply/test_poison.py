"""A pickle is a program. None that is fetched ever runs."""

import ast
import io
import pickle
from pathlib import Path

import pytest

import tlcourse
from tests.supply.things import card_of, content, file_of
from tlcourse.cards import Asset
from tlcourse.supply.bring import bring

PACKAGE = Path(tlcourse.__file__).parent
READERS = {  # what unpickles, and what keeps it from doing so
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
NEVER = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


class Poison:
    """Whoever unpickles it writes a file."""

    def __init__(self, victim: Path):
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


@pytest.fixture
def victim(tmp_path):
    return tmp_path / "poisoned"


@pytest.fixture
def weights(victim) -> bytes:
    """A .pth as torch writes it, with a program among its tensors."""
    import torch

    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(3), "poison": Poison(victim)}, stream)
    return stream.getvalue()


def test_the_poison_is_one(weights, victim):
    import torch

    torch.load(io.BytesIO(weights), weights_only=False)
    assert victim.exists()


def test_fetching_and_verifying_do_not_unpickle(server, settings, weights, victim):
    bodies = {"weights.pth": weights, "data.pkl": pickle.dumps(Poison(victim))}
    card = card_of(
        *(
            Asset((server.put(f"/{name}", body),), (file_of(name, body),))
            for name, body in bodies.items()
        )
    )
    assert content(bring(card, settings)) == bodies and not victim.exists()


@pytest.mark.parametrize("room", ["pocket", "text"])
def test_a_pickle_in_place_of_the_weights_is_refused_unread(room, weights, victim, tmp_path):
    from importlib import import_module

    import torch

    load = import_module(f"tlcourse.models.{room}").load_weights
    body = torch.nn.Linear(3, 3)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    for name in ("model.safetensors", "model.pth"):
        (tmp_path / name).write_bytes(weights)
        with pytest.raises(Exception, match="(?i)header|safetensor"):
            load(body, tmp_path / name)
    assert not victim.exists()
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())


def test_tensors_alone_are_read_from_a_poisoned_pth(weights, victim):
    import torch

    with pytest.raises(pickle.UnpicklingError, match="(?i)weights.only"):
        torch.load(io.BytesIO(weights), weights_only=True)
    assert not victim.exists()


def calls(source: str) -> list[str]:
    """Whatever in this code could unpickle something, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module.split(".")[0]]
        found += [f"{node.lineno}: {name}" for name in names if name in NEVER]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            key, safe = READERS.get(name, ("", None))
            said = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            if key and said.get(key) is not safe:
                found.append(f"{node.lineno}: {name}")
            if name.endswith("read_pickle"):
                found.append(f"{node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_no_room_can_unpickle(path):
    assert calls(path.read_text(encoding="utf-8")) == []


def test_the_look_at_the_code_sees_what_it_should():
    assert calls("import torch\ntorch.load(f)") == ["2: torch.load"]
    assert calls("torch.load(f, weights_only=True); np.load(f, allow_pickle=False)") == []
    assert calls("torch.load(f, weights_only=False)") == ["1: torch.load"]
    assert calls("from pickle import loads") == ["1: pickle"]
    assert calls("pd.read_pickle(f)") == ["1: pd.read_pickle"]
