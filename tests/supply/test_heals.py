"""Cut, killed, crowded, filled up or lied to at every point: nothing wrong is loaded, nothing right
is lost, and a second call heals."""

import os
import random
import re
import signal
import stat
import subprocess
import tarfile
import time
import zipfile
from dataclasses import replace

import pytest

from tests.supply import server as bad
from tests.supply.test_death import POSIX, fetching, small_disk  # noqa: F401
from tests.supply.things import (
    PHOTOS,
    archive,
    card_of,
    content,
    file_of,
    noise,
    one,
    packed,
    tarball,
    zipball,
)
from tlcourse.cards import Asset
from tlcourse.errors import FetchError, IntegrityError, NoSpaceError, UnsafePathError
from tlcourse.supply.bring import bring, present

BODY = noise(20_000, 7)
CHUNK = 1000


def kept(settings):
    """What lies where only whole and right files may lie."""
    return content(settings.home / "files") if (settings.home / "files").exists() else {}


def test_cut_at_every_chunk_it_never_goes_back(server, settings):
    """Each call gets one chunk: twenty calls, and every one begins where the last one ended."""
    server.always = bad.cut(CHUNK)
    card = one(server.put("/f", BODY), BODY)
    impatient = replace(settings, attempts=1)
    for _ in range(len(BODY) // CHUNK - 1):
        with pytest.raises(FetchError, match="try again"):
            bring(card, impatient)
        assert kept(settings) == {} and present(card, settings) is None
    assert content(bring(card, impatient)) == {"thing.bin": BODY}
    begins = [f"bytes={at}-" for at in range(CHUNK, len(BODY), CHUNK)]
    assert server.ranges() == [None, *begins]


@pytest.mark.parametrize("kind", ["file", "tar.gz", "zip"])
def test_cut_anywhere_the_same_call_goes_on(server, settings, kind):
    files = {"a.bin": noise(3000, 1), "b.txt": b"b" * 5000}
    inside = {f"top/{path}": body for path, body in files.items()}
    body = {"file": BODY, "tar.gz": tarball(inside), "zip": zipball(inside)}[kind]
    expected = {"thing.bin": BODY} if kind == "file" else files
    cuts = [0, 1, *range(509, len(body), 509), len(body) - 1]
    for at in cuts:
        url = server.put(f"/{at}", body, bad.cut(at))
        card = one(url, body) if kind == "file" else packed((url,), files, kind=kind)
        server.log.clear()
        home = settings.home / str(at)
        assert content(bring(card, replace(settings, home=home))) == expected
        assert server.ranges() == [None, f"bytes={at}-" if at else None]


def test_cut_at_every_chunk_without_a_length_it_begins_again(server, settings):
    """GitHub's tarballs come in chunks, with no length and no validator."""
    body = archive({"a.bin": noise(3000, 1)})
    for at in range(1, len(body), 200):
        card = packed((server.put(f"/{at}", body, bad.cut_chunked(at)),), {"a.bin": noise(3000, 1)})
        home = settings.home / str(at)
        assert content(bring(card, replace(settings, home=home))) == {"a.bin": noise(3000, 1)}


@POSIX
@pytest.mark.slow
def test_killed_again_and_again_it_arrives(server, settings):
    """kill -9 at any moment of downloading, verifying and moving; each process gets a bit further."""
    body, dice = noise(2_000_000), random.Random(1)
    url = server.put("/f", body)
    server.always = bad.slow(50_000, 0.01)
    card, kills = one(url, body), 0
    while present(card, settings) is None:
        process = fetching(url, settings.home)
        while (line := process.stdout.readline()) and not line.startswith("download"):
            pass
        try:
            process.wait(dice.uniform(0.02, 0.2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        assert set(kept(settings).values()) <= {body}
        assert kills < 60
    assert kills >= 2 and kept(settings) == {"thing/thing.bin": body}
    begins = [int((asked or "bytes=0-")[6:-1]) for asked in server.ranges()]
    assert begins == sorted(begins)  # nothing right was lost


@POSIX
def test_whoever_waits_takes_over_from_the_killed(server, settings):
    body = noise(2_000_000)
    url = server.put(
        "/f", body, bad.stall(1_000_000)
    )  # so the first one is at it until it is killed
    first = fetching(url, settings.home)
    while not (first.stdout.readline()).startswith("download"):
        pass
    second = fetching(url, settings.home)
    assert "another process is fetching" in second.stdout.readline()
    time.sleep(0.2)
    first.kill()
    first.communicate()
    second.communicate(timeout=100)
    assert second.returncode == 0 and kept(settings) == {"thing/thing.bin": body}
    assert len(server.log) == 2 and server.ranges()[1]  # it went on where the first one died


def test_two_processes_unpack_the_same_archive_once(server, settings):
    url = server.put("/t", archive(PHOTOS), bad.slow(20_000, 0.05))
    processes = [fetching(url, settings.home, "archive") for _ in range(2)]
    outputs = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(server.log) == 1 and content(settings.home / "files" / "thing") == PHOTOS


def test_a_disk_that_fills_up_while_unpacking_loses_nothing(server, settings, small_disk):  # noqa: F811
    """The small download fits; what is in it does not, once someone else has taken the room."""
    files = {f"{n}.txt": bytes([65 + n]) * 100_000 for n in range(8)}
    card = packed((server.put("/t", archive(files)),), files)
    settings, thief = replace(settings, home=small_disk), small_disk / "thief"

    def steal(progress):
        if progress.step == "unpack" and not thief.exists():
            with open(thief, "wb", buffering=0) as file:
                file.write(bytes(400_000))

    with pytest.raises(NoSpaceError, match="the next call resumes"):
        bring(card, settings, steal)
    there = content(small_disk / "files" / "thing")
    assert there and all(files[path] == body for path, body in there.items())
    thief.unlink()
    assert content(bring(card, settings)) == files
    assert len(server.log) == 1  # neither the download nor what was unpacked


def tar_link(name, kind):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def zip_link(name):
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return member


TOP = [(f"top/{path}", body) for path, body in PHOTOS.items()]
EVIL = {
    "tar ..": ("tar.gz", tarball([("top/../../evil", b"!"), *TOP])),
    "tar absolute": ("tar.gz", tarball([("/tmp/evil", b"!"), *TOP])),
    "tar symlink": ("tar.gz", tarball([(tar_link("top/photos/a.jpg", tarfile.SYMTYPE), b"")])),
    "tar hard link": ("tar.gz", tarball([(tar_link("top/photos/a.jpg", tarfile.LNKTYPE), b"")])),
    "tar device": ("tar.gz", tarball([(tar_link("top/photos/a.jpg", tarfile.CHRTYPE), b"")])),
    "zip ..": ("zip", zipball([*TOP, ("top/../../evil", b"!")])),
    "zip absolute": ("zip", zipball([*TOP, ("/tmp/evil", b"!")])),
    "zip symlink": ("zip", zipball([(zip_link("top/photos/a.jpg"), b"/etc/passwd")])),
}


@pytest.mark.parametrize("evil", EVIL)
def test_an_archive_with_a_way_out_is_refused_whole_and_a_good_one_heals(
    server, settings, tmp_path, evil
):
    kind, body = EVIL[evil]
    card = packed((server.put("/t", body),), PHOTOS, kind=kind)
    with pytest.raises(UnsafePathError, match="is refused: .*Nothing of it was kept"):
        bring(card, settings)
    assert not list(tmp_path.rglob("evil")) and not os.path.lexists("/tmp/evil")
    assert kept(settings) == {} and content(settings.home / "parts") == {}
    server.files["/t"] = (tarball if kind == "tar.gz" else zipball)(TOP)
    assert content(bring(card, settings)) == PHOTOS


def test_a_bomb_is_defused_and_a_good_archive_heals(server, settings):
    bomb = tarball([("top/zeros", bytes(50_000_000)), *TOP[:1]])
    assert len(bomb) < 200_000  # a small download
    card = packed((server.put("/t", bomb),), PHOTOS, limit=500_000)
    with pytest.raises(IntegrityError, match="it unpacks to more than"):
        bring(card, settings)
    assert kept(settings) == {} and content(settings.home / "parts") == {}
    server.files["/t"] = tarball(TOP)
    assert content(bring(card, settings)) == PHOTOS


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "http://.x/"]
)
def test_a_redirect_to_somewhere_strange_is_not_followed(server, settings, to):
    card = one(server.put("/f", BODY, *[bad.status(302, Location=to)] * 3), BODY)
    with pytest.raises(FetchError):
        bring(card, settings)
    assert kept(settings) == {}
    server.script["/f"].clear()
    assert content(bring(card, settings)) == {"thing.bin": BODY}


def test_redirects_that_always_lead_to_a_new_page_end(server, settings):
    for number in range(30):
        server.put(f"/{number}", BODY, bad.status(302, Location=f"/{number + 1}"))
    with pytest.raises(FetchError, match="more than 8 redirects"):
        bring(one(server.url + "/0", BODY), settings)
    assert len(server.log) == 9


OLD = BODY[:-1] + b"?"


@pytest.mark.parametrize("place", ["folder", "url"])
@pytest.mark.parametrize("what", ["file", "archive"])
def test_a_mirror_with_an_older_version_is_not_believed(server, settings, tmp_path, place, what):
    """The web has what the card says; without it the sentence names the mirror."""
    old, new = (OLD, BODY)
    card = card_of(Asset(("https://example.org/f",), (file_of("thing.bin", BODY),)))
    if what == "archive":
        old, new = (tarball({"top/thing.bin": body}) for body in (OLD, BODY))
        card = packed(("https://example.org/f",), {"thing.bin": BODY})
    for name, body in (("old", old), ("new", new)):
        server.put(f"/{name}/example.org/f", body)
        (tmp_path / name / "example.org").mkdir(parents=True)
        (tmp_path / name / "example.org" / "f").write_bytes(body)
    stale = f"{server.url}/old" if place == "url" else str(tmp_path / "old")
    settings = replace(settings, offline=True, mirrors=(stale,))
    with pytest.raises(IntegrityError, match="expected sha256 .*another source") as caught:
        bring(card, settings)
    assert stale in str(caught.value) and kept(settings) == {}
    assert not re.search("[0-9a-f]{13}", str(caught.value).split("expected sha256")[1])
    newer = replace(settings, mirrors=(stale, f"{server.url}/new"))
    assert content(bring(card, newer)) == {"thing.bin": BODY}


def test_a_part_from_an_older_mirror_does_not_spoil_the_next_source(server, settings):
    """Half of the old version came, then the mirror was mended: the hash tells, and it begins anew."""
    server.put("/m/example.org/f", OLD[::-1], *[bad.cut(5000)] * 3)
    card = card_of(Asset(("https://example.org/f",), (file_of("thing.bin", BODY),)))
    settings = replace(settings, offline=True, mirrors=(f"{server.url}/m",))
    with pytest.raises(FetchError):
        bring(card, settings)
    server.files["/m/example.org/f"] = BODY
    told = []
    assert content(bring(card, settings, told.append)) == {"thing.bin": BODY}
