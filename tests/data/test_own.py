"""Data out of a person's own tensors and Datasets: trained on as they are, refused by example."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

import tlcourse as tl
from tlcourse.data import Data
from tlcourse.data.own import Pictures
from tlcourse.errors import DataError, RecordError


def pictures(n=40, classes=2, side=12):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % classes
    x = torch.randint(0, 100, (n, 3, side, side), generator=generator, dtype=torch.uint8)
    return x + (y * 100).to(torch.uint8)[:, None, None, None], y


class Files(Dataset):
    """As torchvision's ImageFolder: PIL pictures, `targets` and `classes`. Counts what is read."""

    classes = ("dark", "bright")

    def __init__(self, n=40):
        self.x, y = pictures(n)
        self.targets, self.read = y.tolist(), []

    def __len__(self):
        return len(self.x)

    def __getitem__(self, at):
        self.read.append(at)
        return Image.fromarray(self.x[at].permute(1, 2, 0).numpy()), self.targets[at]


def net():
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(4, 2)
    )


def trained(model, data):
    torch.manual_seed(0)
    run = tl.Session(model, data, steps=8, lr=0.1, batch_size=8, seed=1)
    run.run()
    assert run.result.reason == "done"
    return run


def losses(run):
    return [event.loss for event in run.events if event.kind == "step_done"]


def test_tensors_are_kept_and_a_share_is_split_off_by_seed():
    x, y = pictures()
    data = tl.Data.from_tensors((x, y), classes=["dark", "bright"], valid_share=0.25, seed=3)
    assert (len(data.train), len(data.valid), len(data.test)) == (30, 10, 0)
    assert torch.bincount(data.valid.y).tolist() == [5, 5]
    ids = data.train.ids + data.valid.ids
    assert len(set(ids)) == 40
    rows = [int(id.removeprefix("train/")) for id in ids]
    assert torch.equal(torch.cat([data.train.x, data.valid.x]), x[rows])
    assert torch.equal(torch.cat([data.train.y, data.valid.y]), y[rows])
    again, other = (Data.from_tensors((x, y), valid_share=0.25, seed=s) for s in (3, 4))
    assert again.valid.ids == data.valid.ids != other.valid.ids
    assert again.classes == ("0", "1")


def test_given_splits_stay_as_they_are():
    x, y = torch.rand(9, 5, dtype=torch.float64), torch.arange(9) % 3
    data = Data.from_tensors((x, y), (x[:4], y[:4]), (x.numpy()[5:], y.numpy()[5:].astype("int16")))
    assert torch.equal(data.train.x, x.float()) and len(data.valid) == len(data.test) == 4
    assert data.test.y.dtype == torch.int64 and data.classes == ("0", "1", "2")
    assert repr(data) == "mine: 3 classes · 9 train, 4 valid, 4 test · 5"


@pytest.mark.parametrize("floats", [False, True])
def test_a_session_trains_on_tensors_and_its_record_asks_for_them(floats, tmp_path):
    x, y = pictures()
    data = Data.from_tensors((x / 255 if floats else x, y))
    torch.manual_seed(5)
    run = trained(net(), data)
    path = tmp_path / "run.jsonl"
    run.record.save(path)
    assert "name" not in run.record.header["data"]
    torch.manual_seed(5)
    with pytest.raises(RecordError, match="data cannot be recreated .*data=…"):
        tl.replay(path, model=net())
    torch.manual_seed(5)
    assert tl.replay(path, model=net(), data=data).exact
    assert "YOUR_DATA" in tl.to_script(path)


def test_a_session_trains_on_features_and_tokens():
    x = torch.rand(40, 4)
    features = Data.from_tensors((x, (x[:, 0] > 0.5).long()))
    trained(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), features)
    tokens = Data.from_tensors(((x * 9).int(), torch.arange(40) % 2))
    assert tokens.train.x.dtype == torch.int64
    trained(nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 2)), tokens)


def test_a_dataset_in_memory_and_one_that_is_read_as_needed_train_alike():
    torch.manual_seed(5)
    held = Data.from_dataset(Files())
    small = trained(net(), held)
    files = Files()
    lazy = Data.from_dataset(files, in_memory=False)
    assert set(files.read) == {0}, "labels come from targets"
    assert isinstance(held.train.x, torch.Tensor) and not isinstance(lazy.train.x, torch.Tensor)
    assert held.classes == lazy.classes == Files.classes and held.valid.ids == lazy.valid.ids
    torch.manual_seed(5)
    large = trained(net(), lazy)
    assert losses(small) == losses(large)
    assert repr(lazy) == "mine: 2 classes · 32 train, 8 valid, 0 test · 3×12×12"


def test_a_subset_without_targets_is_read_once_for_its_labels():
    x, y = pictures()
    data = Data.from_dataset(Subset(TensorDataset(x / 255, y), range(10, 30)), in_memory=False)
    read = torch.stack([data.train.x[at] for at in range(len(data.train))])
    rows = [int(id.removeprefix("train/")) + 10 for id in data.train.ids]
    assert torch.equal(read, x[rows]), "ToTensor's floats are the same bytes again"
    assert torch.equal(data.train.y, y[rows])
    files = Files()
    assert Data.from_dataset(Subset(files, range(5, 25)), in_memory=False).train.y.sum() == 8
    assert set(files.read) == {5}


def floats(n=6):
    return torch.rand(n, 4), torch.arange(n) % 2


def changed(x, at, value):
    x = x.clone()
    x[at] = value
    return x


X, Y = floats()
PICTURES = torch.rand(6, 3, 4, 4)
WRONG = {
    "is a pair (x, y), not a Tensor": lambda: Data.from_tensors(X),
    "train has 6 examples and 5 labels: number 5 lacks its label": lambda: Data.from_tensors(
        (X, Y[:5])
    ),
    "train has 4 examples and 6 labels: number 4 lacks its example": lambda: Data.from_tensors(
        (X[:4], Y)
    ),
    "test: example 2 has label 3; the labels of 2 classes are 0 to 1": lambda: Data.from_tensors(
        (X, Y), test=(X, changed(Y, 2, 3)), classes=["a", "b"]
    ),
    "train: example 1 has label -1": lambda: Data.from_tensors((X, changed(Y, 1, -1))),
    "train: example 4 holds NaN": lambda: Data.from_tensors((changed(X, 4, float("nan")), Y)),
    "valid: example 3 holds values outside 0 to 1": lambda: Data.from_tensors(
        (PICTURES, Y), (changed(PICTURES, 3, 1.5), Y)
    ),
    "example 5 holds a negative token id": lambda: Data.from_tensors(
        (changed(Y[:, None].repeat(1, 3), 5, -1), Y)
    ),
    "not (6, 1, 4, 4); grey ones": lambda: Data.from_tensors((PICTURES[:, :1], Y)),
    "x is (6,) int64. Give pictures (N, 3, H, W)": lambda: Data.from_tensors((Y, Y)),
    "y is (N,) whole numbers, not (6,) float32": lambda: Data.from_tensors((X, Y.float())),
    "x is a tensor or an array, not a str": lambda: Data.from_tensors(("no", Y)),
    "valid holds (3,)": lambda: Data.from_tensors((X, Y), (X[:, :3], Y)),
    "train holds no examples": lambda: Data.from_tensors((X[:0], Y[:0])),
    "two or more classes": lambda: Data.from_tensors((X, Y * 0)),
    "not the one string 'ab'": lambda: Data.from_tensors((X, Y), classes="ab"),
    "valid_share is a number above 0 and below 1, not 1": lambda: Data.from_tensors(
        (X, Y), valid_share=1
    ),
    "none of any class: give valid": lambda: Data.from_tensors((X[:2], Y[:2])),
    "a map-style Dataset with len(…) and [i], not a generator": lambda: Data.from_dataset(
        pair for pair in [(X[0], 0)]
    ),
    "example 0 is a pair (x, y)": lambda: Data.from_dataset(TensorDataset(X)),
    "example 3 is (3, 5, 5) and the first (3, 4, 4)": lambda: Data.from_dataset(
        [(PICTURES[at] if at < 3 else torch.rand(3, 5, 5), at % 2) for at in range(6)]
    ),
    "example 1 has label 'cat'": lambda: Data.from_dataset([(X[0], 0), (X[1], "cat")]),
    "is an empty Dataset": lambda: Data.from_dataset([]),
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(says):
    with pytest.raises(DataError) as raised:
        WRONG[says]()
    assert says in str(raised.value)


def test_an_example_that_breaks_while_training_is_named():
    class Broken(Files):
        def __getitem__(self, at):
            if at == 7:
                raise OSError("disk on fire")
            return super().__getitem__(at)

    with pytest.raises(DataError, match="train: example 7 cannot be read: OSError: disk on fire"):
        Data.from_dataset(Broken(), in_memory=True)
    read = Pictures(Broken(), "train")
    with pytest.raises(DataError, match="example 7 cannot be read"):
        read[7]


def test_rows_may_repeat_and_keep_what_belongs_to_them():
    data = tl.load_data("surfaces", size=16, labels_per_class=2)
    split = data.train
    drawn = split.rows([3, 3, 0])
    assert drawn.ids == (split.ids[3], split.ids[3], split.ids[0])
    assert torch.equal(drawn.masks, split.masks[[3, 3, 0]])
    drawn.x.zero_()
    drawn.boxes[0].zero_()
    assert split.x[3].any() and len(split.rows(np.array([], dtype=int))) == 0
    assert repr(split.rows([])) == "Split(0)"
