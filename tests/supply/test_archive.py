"""An archive puts down exactly what the manifest names, and nothing anywhere else."""

import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supply.things import content, file_of, tarball
from tlcourse.cards.card import why_unsafe
from tlcourse.errors import IntegrityError, UnsafePathError
from tlcourse.supply.archive import unpack

GOOD = {"d/a.txt": b"aaa", "d/b.txt": b"bb"}
FILES = tuple(file_of(path, body) for path, body in GOOD.items())


def info(name, kind, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def run(tmp_path, members, files=FILES):
    (tmp_path / "in").mkdir(exist_ok=True)
    archive = tmp_path / "in" / "a.tar.gz"
    archive.write_bytes(tarball(members))
    ticks = []
    scratch = tmp_path / "scratch" / "m.tmp"
    unpack(archive, files, tmp_path / "out", scratch, strip=1, tick=ticks.append)
    return ticks


def good(prefix="top"):
    return [(f"{prefix}/{path}", body) for path, body in GOOD.items()]


def test_members_arrive_without_the_leading_folder(tmp_path):
    assert run(tmp_path, [("top/other", b"x"), *good()]) == [3, 5]
    assert content(tmp_path / "out") == GOOD


@pytest.mark.parametrize(
    "name", ["/etc/evil", "top/../../evil", "../evil", "top\\..\\evil", "./../evil"]
)
def test_a_path_that_leaves_is_refused_even_if_nobody_wants_it(tmp_path, name):
    with pytest.raises(UnsafePathError, match="wants to leave its folder"):
        run(tmp_path, [(name, b"!"), *good()])
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_a_wanted_member_must_be_a_plain_file(tmp_path, kind):
    members = [(info("top/d/a.txt", kind, "/etc/passwd"), b""), *good()]
    with pytest.raises(UnsafePathError, match="d/a.txt is a link or a device"):
        run(tmp_path, members)
    assert not os.path.lexists(tmp_path / "out" / "d" / "a.txt")


def test_links_that_nobody_wants_are_left_out(tmp_path):
    run(tmp_path, [(info("top/d", tarfile.SYMTYPE, "/tmp"), b""), *good()])
    assert content(tmp_path / "out") == GOOD and not (tmp_path / "out" / "d").is_symlink()


def test_a_link_in_the_store_does_not_lead_out_of_it(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError, match="leads out"):
        run(tmp_path, good())
    assert content(tmp_path / "elsewhere") == {}


def test_a_second_member_of_the_same_name_changes_nothing(tmp_path):
    run(tmp_path, [*good(), ("top/d/a.txt", b"!!!")])
    assert content(tmp_path / "out") == GOOD


def test_a_wrong_member_leaves_no_file(tmp_path):
    with pytest.raises(IntegrityError, match="d/a.txt: expected sha256"):
        run(tmp_path, [("top/d/a.txt", b"AAA")])
    assert content(tmp_path / "out") == {}


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
