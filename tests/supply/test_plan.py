"""What is decided without touching anything."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.supply.things import card_of, file_of
from tlcourse import supply
from tlcourse.cards import Asset
from tlcourse.errors import SupplyError
from tlcourse.supply import read_settings
from tlcourse.supply.download.judge import (
    Again,
    Ask,
    GiveUp,
    Partial,
    Start,
    Take,
    judge,
    start,
    validator,
)
from tlcourse.supply.plan import (
    Proof,
    Seen,
    Source,
    check,
    sources,
    space_needed,
    todo,
)

A, B = file_of("a", b"one"), file_of("b", b"three")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "seen, proof, verdict",
    [
        (None, None, "bad"),
        (None, Proof(3, 7, A.sha256), "bad"),
        (Seen(2, 7), Proof(2, 7, A.sha256), "bad"),
        (Seen(3, 7), None, "doubtful"),
        (Seen(3, 8), Proof(3, 7, A.sha256), "doubtful"),
        (Seen(3, 7), Proof(3, 7, B.sha256), "doubtful"),
        (Seen(3, 7), Proof(3, 7, A.sha256), "good"),
    ],
)
def test_a_file_is_read_again_only_if_it_changed(seen, proof, verdict):
    result = check([A], {"a": seen} if seen else {}, {"a": proof} if proof else {})
    assert getattr(result, verdict) == (A,)
    assert len(result.good + result.doubtful + result.bad) == 1


def test_only_assets_with_lacking_files_are_brought():
    first, second = Asset(("u",), (A,)), Asset(("v",), (B,))
    assert todo(card_of(first, second), [B]) == ((second, (B,)),)


def test_mirrors_come_first_and_offline_leaves_out_the_web():
    url, mirrors = "https://h.org/x%20y/f", ("/srv/m", "http://t:80/m/")
    folder, mirror = (
        Source("folder", "/srv/m/h.org/x y/f"),
        Source("mirror", "http://t:80/m/h.org/x%20y/f"),
    )
    assert sources([url], mirrors, offline=False) == (folder, mirror, Source("web", url))
    assert sources([url], mirrors, offline=True) == (folder, mirror)


@pytest.mark.parametrize(
    "partial, expected, begin",
    [
        (Partial(0), 100, Start()),
        (Partial(40, "u", '"e"'), 100, Start(40, '"e"')),
        (Partial(40, "elsewhere", '"e"'), 100, Start(40)),
        (Partial(100), 100, Start(100, done=True)),
        (Partial(101), 100, Start()),
        (Partial(40, "u", '"e"'), None, Start(40, '"e"')),
        (Partial(40, "u", ""), None, Start()),
        (Partial(40, "elsewhere", '"e"'), None, Start()),
        (Partial(40, "u", "", done=True), None, Start(40, done=True)),
        (Partial(40, "elsewhere", "", done=True), None, Start()),
    ],
)
def test_where_a_download_begins(partial, expected, begin):
    assert start(partial, "u", expected) == begin


def test_space_is_needed_for_what_is_not_there_yet():
    assert space_needed(Asset(("u",), (A,)), (A,), 1) == 2
    assert space_needed(Asset(("u",), (A, B), archive="tar.gz"), (B,), 1) == 5


WHOLE, REST = Ask(0, 100, 100), Ask(40, 100, 100)
ANSWERS = [
    (WHOLE, 200, {"content-length": "100"}, Take(0, 100)),
    (WHOLE, 200, {}, Take(0, 100)),
    (WHOLE, 200, {"content-length": "nonsense"}, Take(0, 100)),
    (WHOLE, 200, {"content-length": "99"}, GiveUp),
    (WHOLE, 206, {"content-range": "bytes 0-99/100"}, GiveUp),
    (WHOLE, 200, {"content-type": "Text/HTML"}, GiveUp),
    (WHOLE, 200, {"content-encoding": "br"}, GiveUp),
    (WHOLE, 200, {"content-encoding": "identity"}, Take(0, 100)),
    (WHOLE, 416, {}, GiveUp),
    (WHOLE, 304, {}, GiveUp),
    (WHOLE, 503, {}, Again("HTTP 503")),
    (WHOLE, 429, {"retry-after": "7"}, Again("HTTP 429", wait_s=7.0)),
    (WHOLE, 429, {"retry-after": "soon"}, Again("HTTP 429")),
    (REST, 206, {"content-range": "bytes 40-99/100"}, Take(40, 100)),
    (REST, 206, {"content-range": "bytes 40-99/*"}, Take(40, 100)),
    (REST, 206, {"content-range": "bytes 39-99/100"}, Again),
    (REST, 206, {"content-range": "bytes 40-99/200"}, Again),
    (REST, 206, {}, Again),
    (REST, 416, {}, Again),
    (REST, 200, {"content-length": "100"}, Take(0, 100)),
    (Ask(0, None, 50), 200, {}, Take(0, None)),
    (Ask(0, None, 50), 200, {"content-length": "51"}, GiveUp),
    (Ask(9, None, 50), 206, {"content-range": "bytes 9-50/51"}, GiveUp),
]


@pytest.mark.parametrize("ask, status, headers, verdict", ANSWERS)
def test_an_answer_is_judged_by_its_headers(ask, status, headers, verdict):
    got = judge(ask, status, headers, NOW)
    assert got == verdict if not isinstance(verdict, type) else isinstance(got, verdict)


@given(
    st.builds(Ask, st.integers(0, 120), st.none() | st.integers(1, 120), st.integers(1, 120)),
    st.sampled_from([200, 206, 416, 429, 404, 500]),
    st.dictionaries(
        st.sampled_from(["content-length", "content-range", "content-encoding", "retry-after"]),
        st.sampled_from(["", "x", "-1", "7", "100", "gzip", "bytes */9"])
        | st.builds("bytes {}-{}/{}".format, *[st.integers(0, 120)] * 3),
    ),
)
def test_no_answer_makes_a_gap_or_more_than_the_card_says(ask, status, headers):
    verdict = judge(ask, status, headers, NOW)
    if isinstance(verdict, Take):
        assert verdict.offset in (0, ask.offset)
        assert ask.expected is None or verdict.total == ask.expected


def test_a_date_says_when_to_come_back():
    headers = {"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}
    assert judge(WHOLE, 503, headers, NOW) == Again("HTTP 503", wait_s=90.0)


def test_a_weak_etag_guards_nothing():
    assert validator({"etag": 'W/"x"', "last-modified": "Mon"}) == "Mon"
    assert validator({"etag": 'W/"x"'}) == ""
    assert validator({"etag": '"x"', "last-modified": "Mon"}) == '"x"'


def test_settings_are_read_from_the_environment(tmp_path):
    settings = read_settings(
        {
            "TLCOURSE_HOME": str(tmp_path),
            "TLCOURSE_MIRROR": "/srv/m, http://teacher:8000\n~/m",
            "HF_HUB_OFFLINE": "1",
            "TLCOURSE_TIMEOUT": "4",
        }
    )
    assert settings.home == tmp_path and settings.offline
    assert settings.mirrors == ("/srv/m", "http://teacher:8000", "~/m")
    assert (settings.connect_s, settings.stall_s) == (4, 4)
    assert not read_settings({}).offline and read_settings({}).mirrors == ()


def test_a_mirror_folder_that_is_not_there_is_told_before_the_web_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_MIRROR", "/nowhere")
    for ask in (supply.fetch, supply.available):
        with pytest.raises(SupplyError, match="TLCOURSE_MIRROR names /nowhere: no such folder"):
            ask("caltech24")


def test_a_home_that_is_a_file_is_told(tmp_path):
    (tmp_path / "notes").write_text("mine")
    for home in (tmp_path / "notes", tmp_path / "notes" / "below"):
        with pytest.raises(SupplyError, match="TLCOURSE_HOME names .*: a file is in the way"):
            read_settings({"TLCOURSE_HOME": str(home)})


@pytest.mark.parametrize(
    "key, value",
    [("TLCOURSE_TIMEOUT", "soon"), ("TLCOURSE_RETRIES", "-1"), ("TLCOURSE_MIRROR", "ftp://x/y")],
)
def test_a_wrong_setting_is_named(key, value):
    with pytest.raises(SupplyError, match=f"{key}='{value}'"):
        read_settings({key: value})
