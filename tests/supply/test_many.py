"""Many cards at once: few connections, each card's own fate, and Ctrl-C is heard."""

import threading
import time
from dataclasses import replace

import pytest
from rich.progress import Progress as Bars

from tests.supply import server as bad
from tests.supply.things import PHOTOS, archive, card_of, content, file_of, noise, one, packed
from tlcourse.cards import Asset
from tlcourse.errors import FetchError, IntegrityError
from tlcourse.supply.bring import bring, present
from tlcourse.supply.estimate import needs
from tlcourse.supply.many import CONNECTIONS, bring_all
from tlcourse.supply.show import _Rows


def ignore(*_):
    pass


@pytest.fixture
def several(server):
    def make(count, *behaviours, size=40_000):
        bodies = [noise(size, number) for number in range(count)]
        return [
            replace(one(server.put(f"/{n}", body, *behaviours), body), name=f"thing{n}")
            for n, body in enumerate(bodies)
        ]

    return make


def test_few_connections_at_a_time_and_every_card_arrives(several, server, settings):
    now = most = 0
    lock = threading.Lock()

    def counted(handler, body):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:  # before the last byte: the next request may come at once
            now -= 1
        bad.honest(handler, body)

    server.always = counted
    cards = several(12)
    outcomes = bring_all(cards, settings, ignore, ignore)
    assert [outcome.card for outcome in outcomes] == cards
    for number, outcome in enumerate(outcomes):
        assert content(outcome.folder) == {"thing.bin": noise(40_000, number)}
    assert 2 <= most <= CONNECTIONS


def test_each_fails_for_itself_and_a_second_call_heals(several, server, settings):
    cards = several(5)
    server.script["/1"].extend([bad.status(404)])
    server.script["/3"].extend([bad.corrupt])
    outcomes = bring_all(cards, settings, ignore, ignore)
    assert [type(outcome.error) for outcome in outcomes] == [
        *(type(None), FetchError),
        *(type(None), IntegrityError, type(None)),
    ]
    assert all(outcome.folder for outcome in bring_all(cards, settings, ignore, ignore))
    assert len(server.log) == 7


def test_the_others_go_on_while_one_waits_for_a_busy_server(several, server, settings):
    cards = several(6)
    server.script["/0"].append(bad.status(429, Retry_After="1"))
    ended = []
    bring_all(cards, settings, ignore, lambda outcome: ended.append(outcome.card.name))
    assert ended[-1] == "thing0" and len(ended) == 6


def test_stopped_by_hand_it_ends_at_once_and_is_resumed(several, server, settings):
    """The server sends half of two cards and then nothing, while a third one arrives."""
    cards, patient = several(2, bad.stall(200_000), size=400_000), replace(settings, stall_s=100)
    began = threading.Event()

    def tell(name, progress):
        if progress.step == "download" and progress.done > 100_000:
            began.set()

    def stop(outcome):
        raise KeyboardInterrupt

    quick = replace(one(server.put("/q", b"q"), b"q"), name="quick")

    def wait_then_answer(handler, body):
        began.wait(60)
        bad.honest(handler, body)

    server.script["/q"].append(wait_then_answer)
    with pytest.raises(KeyboardInterrupt):
        bring_all([*cards, quick], patient, tell, stop)
    assert [present(card, settings) for card in cards] == [None, None]  # not waited for
    server.released.set()
    while [t for t in threading.enumerate() if t.name == "tlcourse-fetch"]:
        time.sleep(0.01)
    server.log.clear()
    outcomes = bring_all(cards, settings, ignore, ignore)
    assert [content(outcome.folder)["thing.bin"] for outcome in outcomes] == [
        noise(400_000, 0),
        noise(400_000, 1),
    ]
    assert any(asked for asked in server.ranges())


def test_a_mistake_of_ours_is_not_kept_quiet(several, settings):
    def broken(name, progress):
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        bring_all(several(2), settings, broken, ignore)


def test_what_is_to_come_is_known_before(server, settings, tmp_path):
    first, second = noise(1000, 5), noise(2000, 6)
    card = card_of(
        Asset((server.put("/1", first),), (file_of("1.bin", first),)),
        Asset((server.put("/2", second),), (file_of("2.bin", second),)),
    )
    (need,) = needs([card], settings)
    assert (need.folder, need.to_come, need.to_write, need.exact) == (None, 3000, 3000, True)
    (bring(card, settings) / "2.bin").unlink()
    assert needs([card], settings)[0].to_come == 2000
    bring(card, settings)
    assert needs([card], settings)[0].to_come == 0 and needs([card], settings)[0].folder


def test_an_archives_length_is_asked_for_and_without_an_answer_its_members_count(server, settings):
    body = archive(PHOTOS | {"more": noise(30_000)})
    card = packed((server.put("/t", body),), PHOTOS)
    (need,) = needs([card], settings)
    assert (need.to_come, need.exact) == (len(body), True)
    assert need.to_write == len(body) + card.bytes
    (need,) = needs([card], replace(settings, offline=True))
    assert (need.to_come, need.exact) == (card.bytes, False)


def test_what_is_taken_out_of_an_archive_in_a_mirror_folder_is_to_come(settings, tmp_path):
    """Nothing is downloaded, but the members' bytes come, and they are told as they do."""
    place = tmp_path / "example.org" / "t"
    place.parent.mkdir()
    place.write_bytes(archive(PHOTOS | {"more": noise(30_000)}))
    card = packed(("https://example.org/t",), PHOTOS)
    settings = replace(settings, mirrors=(str(tmp_path),))
    (need,) = needs([card], settings)
    assert (need.to_come, need.to_write, need.exact) == (card.bytes, card.bytes, True)
    told = []
    folder = bring(card, settings, told.append)
    assert {progress.step for progress in told} == {"unpack", "verify"}
    rows = _Rows(Bars(disable=True), [need, need])  # the first row counts for all cards
    for progress in told:
        rows.tell(card.name, progress)
    assert rows.bars.tasks[0].completed == need.to_come == rows.bars.tasks[0].total / 2
    (folder / "photos" / "a.jpg").unlink()
    assert needs([card], settings)[0].to_come == len(PHOTOS["photos/a.jpg"])


def test_what_was_downloaded_is_not_counted_again_as_it_is_unpacked(server, settings):
    body = archive(PHOTOS)
    card = packed((server.put("/t", body),), PHOTOS)
    (need,) = needs([card], settings)
    rows = _Rows(Bars(disable=True), [need, need])
    bring(card, settings, lambda progress: rows.tell(card.name, progress))
    assert rows.bars.tasks[0].completed == need.to_come == len(body)
