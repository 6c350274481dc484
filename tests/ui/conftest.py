"""Small real runs, and the wire between kernel and browser laid open."""

import time

import comm
import pytest
import torch
from comm.base_comm import BaseComm
from torch import nn

import tlcourse as tl
from tlcourse.data import Data, Split


def make_run(steps=40, slow_s=0.0, loss=nn.functional.cross_entropy, **options):
    """A run of about 1 ms a step (more with `slow_s`) on eight numbers a sample."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(120, 8, generator=generator)
    y = (x[:, :4].sum(1) > x[:, 4:].sum(1)).long()

    def part(low, high):
        return Split(x[low:high], y[low:high], tuple(str(i) for i in range(low, high)))

    data = Data("numbers", "numbers", part(0, 80), part(80, 100), part(100, 120), ("a", "b"), {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential()
        model.add_module("body", nn.Sequential(nn.Linear(8, 16), nn.ReLU()))
        model.add_module("head", nn.Linear(16, 2))

    def paced(logits, target):
        time.sleep(slow_s)
        return loss(logits, target)

    return tl.Session(
        model, data, steps=steps, lr=1e-2, freeze="body", batch_size=16, loss=paced, **options
    )


class Wire(BaseComm):
    """A comm whose other end is the test: what was sent, in order."""

    sent: list

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        self.__dict__.setdefault("sent", []).append((msg_type, data or {}, buffers or []))

    def custom(self, kind=None):
        """[(content, buffers)] of custom messages, all or of one type."""
        return [
            (data["content"], buffers)
            for _, data, buffers in list(self.sent)
            if data.get("method") == "custom" and kind in (None, data["content"]["type"])
        ]

    def saved(self):
        """Every state that was written for late views."""
        return [
            data["state"]["saved"]
            for _, data, _ in list(self.sent)
            if "saved" in data.get("state", {})
        ]

    def say(self, content):
        """As if a view had sent it."""
        data = {"method": "custom", "content": content}
        self.handle_msg({"content": {"comm_id": self.comm_id, "data": data}, "buffers": []})


@pytest.fixture
def wired(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # what is steered is recorded there
    monkeypatch.setattr(comm, "create_comm", lambda *args, **keys: Wire(*args, **keys))


def eventually(found, timeout_s=60.0):
    """The first truthy value of `found()`."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.005)
    raise AssertionError("it did not happen")
