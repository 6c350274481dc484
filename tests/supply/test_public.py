"""The public data come out of the mirror exactly as the cards say."""

import hashlib
import threading
import time
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.supply.things import content
from tlcourse import cards, supply

pytestmark = pytest.mark.public


def test_caltech24_comes_out_of_a_mirror_and_is_checked_without_reading_it(mirror, monkeypatch):
    monkeypatch.setenv("TLCOURSE_MIRROR", str(mirror))
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    assert supply.available("caltech24") and supply.path("caltech24") is None
    folder = supply.fetch("caltech24", progress=False)
    found = {path: hashlib.sha256(body).hexdigest() for path, body in content(folder).items()}
    assert found == {file.path: file.sha256 for file in cards.get("caltech24").files}
    assert len(found) == 1440 and supply.path("caltech24") == folder

    def seconds(act):
        since = time.perf_counter()
        act()
        return time.perf_counter() - since

    checking = min(seconds(lambda: supply.path("caltech24")) for _ in range(5))
    assert checking < min(seconds(lambda: content(folder)) for _ in range(3))


def test_caltech24_is_24_classes_of_60_photos():
    classes = Counter(file.path.split("/")[1] for file in cards.get("caltech24").files)
    assert len(classes) == 24 and set(classes.values()) == {60}


def test_mobilenetv2_comes_from_a_mirror_over_http(mirror, monkeypatch):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(mirror))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("TLCOURSE_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
        assert supply.available("mobilenetv2")
        folder = supply.fetch("mobilenetv2", progress=False)
        server.shutdown()
    assert (folder / "imagenet_labels.txt").read_text().splitlines()[1] == "tench, Tinca tinca"
