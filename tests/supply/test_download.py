"""Bytes come, once, from the first place that has them."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from tests.supply.server import chunked, cut, cut_chunked, no_range, status, wrong_range
from tests.supply.things import PHOTOS, archive, card_of, content, file_of, noise, one, packed
from tlcourse.cards import Asset
from tlcourse.errors import FetchError
from tlcourse.supply.bring import bring, present

BODY = noise(300_000)


def test_a_file_is_fetched_once(server, settings):
    card = one(server.put("/f", BODY), BODY)
    folder = bring(card, settings)
    assert content(folder) == {"thing.bin": BODY}
    assert bring(card, settings) == folder == present(card, settings)
    assert len(server.log) == 1


def test_nothing_but_the_files_and_their_proofs_remains(server, settings):
    bring(one(server.put("/f", BODY), BODY), settings)
    left = {path for path in content(settings.home) if not path.startswith("locks/")}
    assert left == {"files/thing/thing.bin", "proofs/thing.json"}


def test_an_archive_gives_the_manifests_members_and_no_others(server, settings):
    body = archive(PHOTOS | {"photos/c.jpg": b"not in the manifest", "README": b"neither"})
    folder = bring(packed((server.put("/t", body, chunked),), PHOTOS), settings)
    assert content(folder) == PHOTOS


def test_a_broken_connection_is_resumed_where_it_broke(server, settings):
    card = one(server.put("/f", BODY, cut(100_000), cut(100_000)), BODY)
    assert content(bring(card, settings)) == {"thing.bin": BODY}
    assert server.ranges() == [None, "bytes=100000-", "bytes=200000-"]
    assert server.log[1][1]["If-Range"].startswith('"')


def test_a_second_call_resumes_what_the_first_gave_up(server, settings):
    card = one(server.put("/f", BODY, *[cut(1000)] * 3), BODY)
    with pytest.raises(FetchError, match="broke off after 3,000 of 300,000 bytes"):
        bring(card, settings)
    assert content(bring(card, settings)) == {"thing.bin": BODY}
    assert server.ranges()[-1] == "bytes=3000-"


def test_many_breaks_are_survived_while_there_is_progress(server, settings):
    body = noise(70_000 * 9, 3)
    card = one(server.put("/f", body, *[cut(70_000)] * 8), body)
    assert content(bring(card, settings)) == {"thing.bin": body}


def test_a_server_without_ranges_sends_it_all_again(server, settings):
    card = one(server.put("/f", BODY, cut(100_000), no_range), BODY)
    assert content(bring(card, settings)) == {"thing.bin": BODY}


@pytest.mark.parametrize("strange", [wrong_range, status(416)], ids=["wrong range", "416"])
def test_a_strange_answer_to_a_range_begins_afresh(server, settings, strange):
    card = one(server.put("/f", BODY, cut(100_000), strange), BODY)
    assert content(bring(card, settings)) == {"thing.bin": BODY}
    assert server.ranges() == [None, "bytes=100000-", None]


def test_a_changed_file_is_not_patched_onto_the_old_one(server, settings):
    """An archive has no hash of its own: only If-Range tells that it is another now."""
    old, new = archive(PHOTOS | {"old": noise(90_000, 4)}), archive(PHOTOS)
    card = packed((server.put("/t", old, *[cut(50_000)] * 3),), PHOTOS)
    with pytest.raises(FetchError):
        bring(card, replace(settings, attempts=1))
    server.files["/t"] = new
    server.script["/t"].clear()
    assert content(bring(card, settings)) == PHOTOS


def test_an_archive_without_a_validator_is_not_resumed(server, settings):
    card = packed((server.put("/t", archive(PHOTOS), cut_chunked(40_000)),), PHOTOS)
    assert content(bring(card, settings)) == PHOTOS
    assert server.ranges() == [None, None]


def test_a_corrupted_partial_is_thrown_away_in_the_same_call(server, settings):
    card = one(server.put("/f", BODY, cut(100_000)), BODY)
    with pytest.raises(FetchError):
        bring(card, replace(settings, attempts=1))
    part = settings.home / "parts" / "thing" / "0.part"
    part.write_bytes(b"?" + part.read_bytes()[1:])
    assert content(bring(card, settings)) == {"thing.bin": BODY}
    assert server.ranges() == [None, "bytes=100000-", None]


def test_a_partial_that_is_too_long_is_cut(server, settings):
    part = settings.home / "parts" / "thing" / "0.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY + b"a tail of something else")
    assert content(bring(one(server.put("/f", BODY), BODY), settings)) == {"thing.bin": BODY}
    assert server.ranges() == [None]


def test_a_mirror_folder_comes_before_the_web(server, settings, tmp_path):
    url = server.put("/deep/f", BODY)
    place = tmp_path / "mirror" / urlsplit(url).netloc / "deep" / "f"
    place.parent.mkdir(parents=True)
    place.write_bytes(BODY)
    settings = replace(settings, mirrors=(str(tmp_path / "mirror"),))
    assert content(bring(one(url, BODY), settings)) == {"thing.bin": BODY}
    assert server.log == []


def test_a_mirror_url_has_the_file_at_host_and_path(server, settings):
    server.put("/m/example.org/x/f", BODY)
    settings = replace(settings, mirrors=(f"{server.url}/m/",), offline=True)
    assert content(bring(one("https://example.org/x/f", BODY), settings)) == {"thing.bin": BODY}


def test_an_archive_in_a_mirror_folder_is_not_copied(settings, tmp_path):
    place = tmp_path / "example.org" / "t"
    place.parent.mkdir()
    place.write_bytes(archive(PHOTOS))
    steps = []
    settings = replace(settings, mirrors=(str(tmp_path),))
    folder = bring(packed(("https://example.org/t",), PHOTOS), settings, steps.append)
    assert content(folder) == PHOTOS
    assert {step.step for step in steps} == {"unpack", "verify"}


def test_the_web_helps_where_a_mirror_lies(server, settings, tmp_path):
    url = server.put("/f", BODY)
    place = tmp_path / urlsplit(url).netloc / "f"
    place.parent.mkdir()
    place.write_bytes(BODY[:-1] + b"?")
    settings = replace(settings, mirrors=(str(tmp_path / "missing"), str(tmp_path)))
    assert content(bring(one(url, BODY), settings)) == {"thing.bin": BODY}


def test_only_what_is_lacking_is_fetched(server, settings):
    first, second = noise(1000, 5), noise(2000, 6)
    card = card_of(
        Asset((server.put("/1", first),), (file_of("1.bin", first),)),
        Asset((server.put("/2", second),), (file_of("sub/2.bin", second),)),
    )
    folder = bring(card, settings)
    (folder / "sub" / "2.bin").unlink()
    assert present(card, settings) is None
    bring(card, settings)
    assert [path for path, _ in server.log] == ["/1", "/2", "/2"]


def test_a_member_that_was_deleted_comes_back_alone(server, settings):
    card = packed((server.put("/t", archive(PHOTOS)),), PHOTOS)
    folder = bring(card, settings)
    kept = (folder / "photos/a.jpg").stat().st_ino
    (folder / "photos/b.jpg").unlink()
    assert content(bring(card, settings)) == PHOTOS
    assert (folder / "photos/a.jpg").stat().st_ino == kept


def test_progress_tells_bytes_up_to_the_last(server, settings):
    told = []
    bring(one(server.put("/f", BODY, cut(100_000)), BODY), settings, told.append)
    loads = [(step.done, step.total) for step in told if step.step == "download"]
    assert loads[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in loads] == sorted(done for done, _ in loads)
    assert any(step.step == "note" and "trying again" in step.what for step in told)
