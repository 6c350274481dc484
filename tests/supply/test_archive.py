"""An archive puts down exactly what the manifest names, and nothing anywhere else."""

import gzip
import io
import os
import random
import stat
import struct
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supply.things import content, file_of, noise, tarball, zipball
from tlcourse.cards.card import why_unsafe
from tlcourse.errors import IntegrityError, UnsafePathError
from tlcourse.supply.archive import unpack

GOOD = {"d/a.txt": b"aaa", "d/b.txt": b"bb"}
FILES = tuple(file_of(path, body) for path, body in GOOD.items())
PACK = {"tar.gz": tarball, "zip": zipball}
both = pytest.mark.parametrize("kind", PACK)


def link(name, kind, to=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


def zip_link(name, kind=stat.S_IFLNK):
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    return member


def run(tmp_path, members, files=FILES, kind="tar.gz"):
    """Unpack an archive of these members, or one that is given as bytes."""
    (tmp_path / "in").mkdir(exist_ok=True)
    archive = tmp_path / "in" / f"a.{kind}"
    archive.write_bytes(members if isinstance(members, bytes) else PACK[kind](members))
    ticks = []
    scratch = tmp_path / "scratch" / "m.tmp"
    unpack(archive, kind, files, tmp_path / "out", scratch, strip=1, tick=ticks.append)
    return ticks


def good(prefix="top"):
    return [(f"{prefix}/{path}", body) for path, body in GOOD.items()]


@both
def test_members_arrive_without_the_leading_folder(tmp_path, kind):
    assert run(tmp_path, [("top/other", b"x"), *good()], kind=kind) == [3, 5]
    assert content(tmp_path / "out") == GOOD


@both
@pytest.mark.parametrize(
    "name", ["/etc/evil", "top/../../evil", "../evil", "top\\..\\evil", "./../evil"]
)
def test_a_path_that_leaves_is_refused_even_if_nobody_wants_it(tmp_path, name, kind):
    with pytest.raises(UnsafePathError, match="leads out of its folder"):
        run(tmp_path, [(name, b"!"), *good()], kind=kind)
    assert not list(tmp_path.rglob("*evil*"))


def test_a_zip_is_refused_before_anything_of_it_is_written(tmp_path):
    with pytest.raises(UnsafePathError):
        run(tmp_path, [*good(), ("../evil", b"!")], kind="zip")
    assert content(tmp_path / "out") == {}


def test_a_name_with_a_nul_is_refused(tmp_path):
    """zipfile would read `top/x` of it; another program the whole."""
    body = zipball([("top/x#../evil", b"!"), *good()]).replace(b"x#", b"x\0")
    with pytest.raises(UnsafePathError, match="leads out of"):
        run(tmp_path, body, kind="zip")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_a_wanted_member_must_be_a_plain_file(tmp_path, kind):
    members = [(link("top/d/a.txt", kind, "/etc/passwd"), b""), *good()]
    with pytest.raises(UnsafePathError, match="d/a.txt is a link or a device"):
        run(tmp_path, members)
    assert not os.path.lexists(tmp_path / "out" / "d" / "a.txt")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_a_wanted_member_of_a_zip_must_be_a_plain_file(tmp_path, kind):
    members = [(zip_link("top/d/a.txt", kind), b"/etc/passwd"), *good()]
    with pytest.raises(UnsafePathError, match="d/a.txt is a link or a device"):
        run(tmp_path, members, kind="zip")
    assert not os.path.lexists(tmp_path / "out" / "d" / "a.txt")


@both
def test_links_that_nobody_wants_are_left_out(tmp_path, kind):
    way_out = link("top/d", tarfile.SYMTYPE, "/tmp") if kind == "tar.gz" else zip_link("top/d")
    run(tmp_path, [(way_out, b""), *good()], kind=kind)
    assert content(tmp_path / "out") == GOOD and not (tmp_path / "out" / "d").is_symlink()


@both
def test_a_link_in_the_store_does_not_lead_out_of_it(tmp_path, kind):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError, match="leads out"):
        run(tmp_path, good(), kind=kind)
    assert content(tmp_path / "elsewhere") == {}


@both
def test_a_second_member_of_the_same_name_changes_nothing(tmp_path, kind):
    run(tmp_path, [*good(), ("top/d/a.txt", b"!!!")], kind=kind)
    assert content(tmp_path / "out") == GOOD


@both
def test_a_wrong_member_leaves_no_file(tmp_path, kind):
    with pytest.raises(IntegrityError, match="d/a.txt: expected sha256 [0-9a-f]{12}…, got"):
        run(tmp_path, [("top/d/a.txt", b"AAA")], kind=kind)
    assert content(tmp_path / "out") == {}


def test_a_member_that_is_a_bomb_is_not_unpacked(tmp_path):
    """Its header says 3 bytes, its content a hundred million."""
    bomb = bytearray(zipball([("top/d/a.txt", bytes(10**8)), ("top/d/b.txt", b"bb")]))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", bomb, bomb.index(signature) + at, 3)
    with pytest.raises(IntegrityError):
        run(tmp_path, bytes(bomb), kind="zip")
    assert content(tmp_path / "out") == {}
    assert (tmp_path / "scratch" / "m.tmp").stat().st_size <= 3


def test_a_bomb_that_nobody_wants_is_not_unpacked_either(tmp_path):
    with pytest.raises(IntegrityError, match="it unpacks to more than [0-9,]+ bytes"):
        run(tmp_path, [("top/zeros", bytes(60_000_000)), *good()])
    run(tmp_path, [("top/zeros", bytes(60_000_000)), *good()], kind="zip")  # it is passed over
    assert content(tmp_path / "out") == GOOD


def test_a_header_without_end_is_not_read_into_memory(tmp_path):
    """tarfile reads a long name whole. Beside noise, the ratio alone would let it pass."""
    endless = tarfile.TarInfo("name")
    endless.type, endless.size = tarfile.GNUTYPE_LONGNAME, 50_000_000
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        first = tarfile.TarInfo("top/noise")
        first.size = 2_000_000
        tar.addfile(first, io.BytesIO(noise(first.size)))
        tar.fileobj.write(endless.tobuf(tarfile.GNU_FORMAT) + bytes(endless.size))
    body = gzip.compress(raw.getvalue(), 1)
    del raw
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="it unpacks to more than"):
        run(tmp_path, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45_000_000


@pytest.mark.parametrize("how", ["encrypted", "lzma"])
def test_what_a_card_does_not_need_is_not_tried(tmp_path, how):
    if how == "lzma":
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_LZMA) as file:
            file.writestr("top/d/a.txt", b"aaa")
        body = raw.getvalue()
    else:
        body = bytearray(zipball([("top/d/a.txt", b"aaa")]))
        for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            body[body.index(signature) + at] |= 1
    with pytest.raises(IntegrityError, match="encrypted|compressed by an unsupported method"):
        run(tmp_path, bytes(body), kind="zip")


@both
def test_whatever_is_damaged_nothing_wrong_is_put_down(tmp_path, kind):
    bodies = {"d/a.txt": noise(700, 1), "d/b.txt": b"b" * 3000}
    files = tuple(file_of(path, body) for path, body in bodies.items())
    whole = PACK[kind]([(f"top/{path}", body) for path, body in bodies.items()])
    # Damage below the gzip, or its checksum alone would tell.
    inner = gzip.decompress(whole) if kind == "tar.gz" else whole
    dice, refused = random.Random(0), 0
    for _ in range(300):
        broken = bytearray(inner)
        for _ in range(dice.choice([1, 1, 3, 20])):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        if dice.random() < 0.2:
            del broken[dice.randrange(len(broken)) :]
        body = gzip.compress(bytes(broken), 1) if kind == "tar.gz" else bytes(broken)
        try:
            run(tmp_path, body, files, kind)
        except (IntegrityError, UnsafePathError):
            refused += 1
        for path, there in content(tmp_path / "out").items():
            assert there == bodies[path]
    assert refused > 30


@given(st.text(st.sampled_from("ab./\\: \x00"), max_size=12))
def test_a_safe_path_stays_below_its_folder(path):
    if why_unsafe(path) is None:
        inside = os.path.normpath(os.path.join("/base", path))
        assert inside.startswith("/base/") and inside == f"/base/{path}"


@pytest.mark.parametrize(
    "path", ["", "/a", "..", "a/../b", "a//b", "./a", "a/", "C:x", "a\\b", "a\nb", "a.", "a /b"]
)
def test_paths_that_some_system_would_follow_elsewhere(path):
    assert why_unsafe(path)
