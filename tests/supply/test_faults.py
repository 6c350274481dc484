"""Whatever a server does, the learner reads one clear sentence, and nothing wrong is kept."""

import time
from dataclasses import replace

import pytest

from tests.supply import server as bad
from tests.supply.things import PHOTOS, archive, content, noise, one, packed, tarball
from tlcourse.errors import FetchError, IntegrityError, UnsafePathError
from tlcourse.supply.bring import bring, present

BODY = noise(200_000)

FAULTS = {
    "corrupted": (bad.corrupt, IntegrityError, "expected sha256 [0-9a-f]{12}…, got [0-9a-f]{12}…"),
    "truncated": (bad.cut(5), FetchError, "broke off after 15 of 200,000 bytes"),
    "length too short": (
        bad.length(7),
        IntegrityError,
        "expected 200,000 bytes, got Content-Length 7",
    ),
    "length too long": (bad.length(10**9), IntegrityError, "expected 200,000 .*1,000,000,000"),
    "an HTML page": (bad.page, IntegrityError, "a web page came instead of the file"),
    "gzip": (bad.gzipped, IntegrityError, "encoded as 'gzip'"),
    "redirects": (bad.in_circles, FetchError, "more than 8 redirects"),
    "404": (bad.status(404), FetchError, "HTTP 404"),
    "403": (bad.status(403), FetchError, "HTTP 403"),
    "204": (bad.status(204), FetchError, "HTTP 204"),
    "500": (bad.status(500), FetchError, r"HTTP 500 \(3 attempts\)"),
    "429, long": (bad.status(429, Retry_After="7200"), FetchError, "asks to wait 7,200 s"),
    "stalled": (bad.stall(5000), FetchError, "it stalled for 0.25 s after 5,000 of 200,000"),
    "mute": (bad.mute, FetchError, "no answer within 0.25 s"),
    "trickling": (bad.trickle, FetchError, r"it stalled \(\d+ bytes in .* s\) after \d+ of"),
    "endless": (bad.endless, IntegrityError, "expected 200,000 bytes, got more"),
    "unasked part": (bad.wrong_range, IntegrityError, "though the whole was requested"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_the_next_call_heals(server, settings, fault):
    behaviour, error, words = FAULTS[fault]
    url = server.put("/f", BODY)
    server.always = behaviour
    with pytest.raises(error, match=words) as caught:
        bring(one(url, BODY), settings)
    sentence = str(caught.value)
    assert "thing.bin" in sentence and url in sentence and "try again" in sentence
    assert present(one(url, BODY), settings) is None
    assert not (settings.home / "files" / "thing" / "thing.bin").exists()
    server.always = bad.honest
    assert content(bring(one(url, BODY), settings)) == {"thing.bin": BODY}


@pytest.mark.parametrize("fault", ["corrupted", "an HTML page", "gzip", "endless"])
def test_wrong_bytes_are_not_kept_for_a_resume(server, settings, fault):
    url = server.put("/f", BODY)
    server.always = FAULTS[fault][0]
    with pytest.raises(IntegrityError):
        bring(one(url, BODY), settings)
    assert content(settings.home / "parts") == {}


@pytest.mark.parametrize(
    "passing",
    [bad.status(500), bad.status(503), bad.status(429, Retry_After="0"), bad.stall(9), bad.mute],
    ids=["500", "503", "429", "stall", "mute"],
)
def test_a_passing_trouble_passes_unnoticed(server, settings, passing):
    card = one(server.put("/f", BODY, passing), BODY)
    assert content(bring(card, settings)) == {"thing.bin": BODY}


def test_the_server_says_how_long_to_wait(server, settings):
    card = one(server.put("/f", BODY, bad.status(429, Retry_After="1")), BODY)
    since = time.monotonic()
    bring(card, settings)
    assert 1 <= time.monotonic() - since < 30


@pytest.mark.parametrize("fault", ["mute", "stalled", "trickling"])
def test_nobody_waits_longer_than_was_set(server, settings, fault):
    server.always = FAULTS[fault][0]
    since = time.monotonic()
    with pytest.raises(FetchError):
        bring(one(server.put("/f", BODY), BODY), replace(settings, attempts=1))
    assert time.monotonic() - since < 30  # the server would take a minute


def test_a_redirect_is_followed_but_not_for_ever(server, settings):
    server.put("/real", BODY)
    card = one(server.put("/f", BODY, bad.status(302, Location="/real")), BODY)
    assert content(bring(card, settings)) == {"thing.bin": BODY}
    server.log.clear()
    server.always = bad.in_circles
    with pytest.raises(FetchError, match="more than 8 redirects"):
        bring(one(server.put("/g", BODY), BODY), replace(settings, home=settings.home / "other"))
    assert len(server.log) == 9


def test_nobody_listens(settings):
    with pytest.raises(FetchError, match=r"no connection \(.*refused.*\)"):
        bring(one("http://127.0.0.1:9/f", BODY), settings)


def test_a_host_that_does_not_exist(settings):
    with pytest.raises(FetchError, match="no connection"):
        bring(one("http://nowhere.invalid/f", BODY), replace(settings, attempts=1))


def test_offline_asks_nobody_and_says_so(server, settings):
    card = one(server.put("/f", BODY), BODY)
    with pytest.raises(FetchError, match="Unset TLCOURSE_OFFLINE"):
        bring(card, replace(settings, offline=True))
    assert server.log == []


def test_offline_with_a_mirror_that_lacks_it(settings, tmp_path):
    settings = replace(settings, offline=True, mirrors=(str(tmp_path),))
    with pytest.raises(FetchError, match="no such file.*Check TLCOURSE_MIRROR"):
        bring(one("https://example.org/f", BODY), settings)


def test_every_place_that_was_tried_is_named(server, settings, tmp_path):
    url = server.put("/f", BODY)
    server.always = bad.status(404)
    with pytest.raises(FetchError) as caught:
        bring(one(url, BODY), replace(settings, mirrors=(str(tmp_path),)))
    assert f"{tmp_path}/127.0.0.1" in str(caught.value) and f"{url}: HTTP 404" in str(caught.value)


def test_an_archive_cut_short_without_a_length(server, settings):
    """HTTP/1.0 without a length: only the archive's own end tells that something is missing."""
    body = archive(PHOTOS)
    url = server.put("/t", body)
    server.always = lambda handler, body: handler.answer(200, {}, body[: len(body) // 2])
    with pytest.raises(IntegrityError, match="broken or cut short"):
        bring(packed((url,), PHOTOS), settings)
    server.always = bad.honest
    assert content(bring(packed((url,), PHOTOS), settings)) == PHOTOS


def test_an_endless_archive_fills_no_disk(server, settings):
    server.always = bad.endless
    card = packed((server.put("/t", b"x"),), PHOTOS, limit=500_000)
    with pytest.raises(IntegrityError, match="expected at most 500,000 bytes, got more"):
        bring(card, settings)
    assert content(settings.home / "parts") == {}


def test_an_archive_that_claims_too_much_is_refused_unread(server, settings):
    card = packed((server.put("/t", b"x", *[bad.length(600_000)] * 3),), PHOTOS, limit=500_000)
    with pytest.raises(IntegrityError, match="at most 500,000 bytes, got Content-Length 600,000"):
        bring(card, settings)


@pytest.mark.parametrize(
    "body, words",
    [
        (b"<html>no</html>", "broken or cut short"),
        (archive(PHOTOS)[:-5000], "broken or cut short|lacks"),
        (archive({"photos/a.jpg": PHOTOS["photos/a.jpg"]}), "lacks 1 of 2 files.*photos/b.jpg"),
        (
            archive(PHOTOS | {"photos/b.jpg": b"short"}),
            "photos/b.jpg: expected 70,000 bytes, got 5",
        ),
        (archive(PHOTOS | {"photos/b.jpg": noise(70_000, 9)}), "photos/b.jpg: expected sha256"),
    ],
    ids=["no archive", "cut", "member missing", "member short", "member altered"],
)
def test_a_wrong_archive_is_named_and_healed(server, settings, body, words):
    url = server.put("/t", body)
    with pytest.raises(IntegrityError, match=words):
        bring(packed((url,), PHOTOS), settings)
    assert present(packed((url,), PHOTOS), settings) is None
    server.files["/t"] = archive(PHOTOS)
    assert content(bring(packed((url,), PHOTOS), settings)) == PHOTOS


def test_an_archive_that_wants_to_leave_is_refused(server, settings, tmp_path):
    body = tarball({"repo-1/../../../evil": b"!"} | {f"repo-1/{p}": b for p, b in PHOTOS.items()})
    url = server.put("/t", body)
    with pytest.raises(UnsafePathError, match=r"'repo-1/../../../evil' leads out") as caught:
        bring(packed((url,), PHOTOS), settings)
    assert url in str(caught.value)
    assert not list(tmp_path.rglob("evil")) and content(settings.home / "parts") == {}
