"""Killed, raced, without room, without permission: nothing is lost, the next call heals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest

from tests.supply.server import honest, slow, stall
from tests.supply.things import PHOTOS, archive, content, noise, one, packed
from tlcourse.errors import NoSpaceError, SupplyError
from tlcourse.supply.bring import bring, present

BODY = noise(2_000_000)
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

SCRIPT = """
import os, signal, sys
from pathlib import Path
from tests.supply.things import PHOTOS, noise, one, packed
from tlcourse.errors import TLCourseError
from tlcourse.supply import Settings
from tlcourse.supply.bring import bring
url, home, what, last = sys.argv[1:]
card = one(url, noise(2_000_000)) if what == "file" else packed((url,), PHOTOS)
def tell(progress):
    print(progress.step, progress.done, progress.what, flush=True)
    if progress.step == last:
        os.kill(os.getpid(), signal.SIGKILL)
try:
    bring(card, Settings(Path(home), backoff_s=0.01), tell)
except TLCourseError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def fetching(url, home, what="file", last="", **kwargs):
    """A process that fetches, telling its progress; it kills itself at the step `last`."""
    arguments = [sys.executable, "-c", SCRIPT, url, str(home), what, last]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, **kwargs)


@POSIX
def test_killed_while_downloading_it_is_resumed(server, settings):
    url = server.put("/f", BODY, stall(1_000_000))
    process = fetching(url, settings.home)
    while (
        not (line := process.stdout.readline()).startswith("download") or int(line.split()[1]) < 5e5
    ):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert present(one(url, BODY), settings) is None
    assert content(bring(one(url, BODY), settings)) == {"thing.bin": BODY}
    begin = int(server.ranges()[-1].removeprefix("bytes=").removesuffix("-"))
    assert begin >= 500_000


@POSIX
def test_killed_while_unpacking_it_is_healed_without_a_download(server, settings):
    card = packed((server.put("/t", archive(PHOTOS)),), PHOTOS)
    process = fetching(card.assets[0].urls[0], settings.home, "archive", last="unpack")
    process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    assert list(content(settings.home / "files" / "thing")) == ["photos/a.jpg"]
    assert present(card, settings) is None
    assert content(bring(card, settings)) == PHOTOS
    assert len(server.log) == 1


def test_two_processes_fetch_once(server, settings):
    waited_for = threading.Event()

    def late(handler, body):
        waited_for.wait(60)
        honest(handler, body)

    url = server.put("/f", BODY, late)
    first = fetching(url, settings.home)
    while not server.log:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    second = fetching(url, settings.home)
    assert "another process is fetching thing" in second.stdout.readline()
    waited_for.set()
    outputs = [process.communicate(timeout=100) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], outputs
    assert len(server.log) == 1


def test_a_lock_that_is_never_given_back_is_named(server, settings):
    url = server.put("/f", BODY, stall(100_000))
    process = fetching(url, settings.home)
    process.stdout.readline()
    try:
        with pytest.raises(
            SupplyError, match=r"fetching 'thing' for 0 s.*End it, or delete .*lock"
        ):
            bring(one(url, BODY), replace(settings, lock_s=0.1))
    finally:
        process.kill()
        process.wait()


def test_too_little_room_is_seen_before_the_first_byte(server, settings):
    card = one(server.put("/f", BODY), BODY)
    huge = replace(card.assets[0].files[0], bytes=10**16)
    with pytest.raises(
        NoSpaceError, match=r"10,000,000,000,000,000 bytes are needed, [\d,]+ are free"
    ):
        bring(replace(card, assets=(replace(card.assets[0], files=(huge,)),)), settings)
    assert server.log == []


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root and mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_small_disk_is_refused_with_the_numbers(server, settings, small_disk):
    url = server.put("/f", BODY)
    with pytest.raises(NoSpaceError, match=r"2,000,000 bytes are needed, 1,0\d\d,\d{3} are free"):
        bring(one(url, BODY), replace(settings, home=small_disk))
    assert server.log == []


def test_a_disk_that_fills_up_on_the_way_loses_nothing(server, settings, small_disk):
    """Someone else takes the room after it was checked."""
    url = server.put("/f", body := noise(700_000, 1), slow(50_000, 0.02))
    settings = replace(settings, home=small_disk)
    thief = small_disk / "thief"

    def steal(progress):
        if progress.step == "download" and not thief.exists():
            with open(thief, "wb", buffering=0) as file:
                file.write(bytes(600_000))

    with pytest.raises(NoSpaceError, match="too full for 'thing'.*the next call resumes"):
        bring(one(url, body), settings, steal)
    kept = (small_disk / "parts" / "thing" / "0.part").stat().st_size
    thief.unlink()
    assert content(bring(one(url, body), settings)) == {"thing.bin": body}
    assert server.ranges()[-1] == f"bytes={kept}-" and kept > 0


@POSIX
def test_a_file_size_limit_reads_as_no_space(server, settings):
    import resource

    url = server.put("/f", BODY)

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    process = fetching(url, settings.home, preexec_fn=limit)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1 and said.startswith("NoSpaceError: The disk is too full"), said
    assert content(bring(one(url, BODY), settings)) == {"thing.bin": BODY}
    assert server.ranges()[-1] == "bytes=500000-"


@POSIX
def test_a_home_that_may_not_be_written_is_named(server, settings, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    card = one(server.put("/f", BODY), BODY)
    bring(card, settings)  # so that everything is imported before the rights are given up
    root = os.geteuid() == 0
    for folder in (tmp_path, *tmp_path.parents) if root else ():
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)
    try:
        if root:
            os.seteuid(65534)
        with pytest.raises(
            SupplyError, match=r"No permission to write .*closed.*Set TLCOURSE_HOME"
        ):
            bring(card, replace(settings, home=closed / "home"))
    finally:
        if root:
            os.seteuid(0)


def test_interrupted_by_hand_it_is_resumed(server, settings):
    url = server.put("/f", BODY)

    def stop(progress):
        if progress.step == "download" and progress.done > 600_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(one(url, BODY), settings, stop)
    assert content(bring(one(url, BODY), settings)) == {"thing.bin": BODY}
    assert int(server.ranges()[-1].removeprefix("bytes=").removesuffix("-")) > 600_000


def test_neither_torch_nor_requests_comes_with_an_import():
    code = textwrap.dedent("""
        import sys
        from tlcourse import cards, supply
        from tlcourse.cli import cards as _, fetch as _
        cards.get("caltech24"); supply.path("digits"); supply.available("caltech24")
        print(sorted({"torch", "numpy", "requests", "rich", "sklearn"} & set(sys.modules)))
    """)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
