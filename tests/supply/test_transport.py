"""No server holds a fetch, fills the memory, is asked for ever, or sends it to a private address."""

import gzip
import threading
import time
import tracemalloc
from dataclasses import replace

import pytest

from tests.supply import server as bad
from tests.supply.things import PHOTOS, archive, content, noise, one, packed
from tlcourse.errors import FetchError, TLCourseError
from tlcourse.supply.bring import bring
from tlcourse.supply.download import http
from tlcourse.supply.hub import listing

BODY = noise(200_000)
BOMB = gzip.compress(bytes(60_000_000))
OK = b"HTTP/1.1 200 OK\r\n"


def fetch(url, settings):
    return content(bring(one(url, BODY), settings))


def pin(url, settings):
    return http.read(url, settings, 1_000_000)


def ask_length(url, settings):
    if http.length(url, settings) is None:
        raise FetchError("no length")


WAYS = {"fetch": fetch, "pin": pin, "length": ask_length}
ways = pytest.mark.parametrize("way", WAYS)


def every_method(server, behaviour):
    """HEAD is answered like GET, body and all."""
    server.always = behaviour
    server.RequestHandlerClass = type(
        "Both", (bad.Handler,), {"do_HEAD": lambda self: self.do_GET()}
    )


@ways
def test_the_body_of_a_redirect_is_not_read(server, settings, way):
    server.put("/real", BODY)
    url = server.put("/f", BODY)
    every_method(server, bad.honest)
    packed = bad.redirect("/real", BOMB, Content_Encoding="gzip")
    server.script["/f"].append(packed)
    tracemalloc.start()
    WAYS[way](url, settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000 and [path for path, _ in server.log] == ["/f", "/real"]


@pytest.mark.parametrize("way", ["fetch", "pin"])
def test_nor_is_one_that_never_ends(server, settings, way):
    def flood(handler, body):
        handler.answer(302, {"Location": "/real"})
        while not handler.server.released.is_set():
            handler.wfile.write(bytes(1 << 16))

    server.put("/real", BODY)
    assert WAYS[way](server.put("/f", BODY, flood), settings)


def test_what_comes_packed_is_not_unpacked(server, settings):
    packed = b"".join([OK, b"Content-Encoding: gzip\r\n\r\n", BOMB])
    server.always = lambda handler, body: handler.wfile.write(packed)
    with pytest.raises(TLCourseError, match="encoded as 'gzip'"):
        pin(server.put("/f", BODY), settings)


DRIPS = {
    "status": OK * 30,
    "headers": OK + b"X-Y: z\r\n" * 80,
    "one header": OK + b"X: " + b"y" * 3000,
    "no length": OK + b"Connection: close\r\n\r\n" + b"y" * 3000,
    "body": OK + b"Content-Length: 200000\r\n\r\n" + b"y" * 3000,
    "size of a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 3000,
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /" + b"y" * 3000,
}


@pytest.mark.parametrize(
    ("way", "what"),
    [
        (way, what)
        for way in WAYS
        for what in DRIPS
        if way != "length"
        or what not in ("body", "no length", "size of a chunk")  # HEAD has no body
    ],
)
def test_a_dripping_answer_ends_at_the_deadline(server, settings, way, what):
    """Every 10 ms a byte, for half a minute: no socket ever times out."""
    every_method(server, bad.drip(DRIPS[what]))
    settings = replace(settings, connect_s=0.05, stall_s=0.05, attempts=2)
    since = time.monotonic()
    with pytest.raises(FetchError):
        WAYS[way](server.put("/f", BODY), settings)
    assert time.monotonic() - since < 5


def test_more_than_a_drip_ends_as_well(server, settings):
    """Enough bytes not to count as stalled, but far too few for the size."""
    server.always = bad.slow(1200, 0.04)
    settings = replace(settings, stall_s=0.2, attempts=1)
    since = time.monotonic()
    with pytest.raises(FetchError, match="it was not done within 0.84 s after"):
        fetch(server.put("/f", BODY), settings)
    assert time.monotonic() - since < 3  # the server would take seven
    server.always = bad.honest
    assert fetch(server.url + "/f", settings) == {"thing.bin": BODY}
    assert server.ranges()[-1] != "bytes=0-"  # what came was kept


def test_an_end_that_the_deadline_made_is_not_the_end_of_the_file(server, settings):
    """Without a length, only the end of the connection says that a file is whole."""
    body = archive(PHOTOS)
    server.always = bad.drip(OK + b"\r\n" + body)
    settings = replace(settings, stall_s=0.05, attempts=1)
    card = packed((server.put("/t", body),), PHOTOS)
    with pytest.raises(FetchError, match="it was not done|it stalled|no answer"):
        bring(card, settings)


CUTS = {
    "at half": bad.half,
    "in chunks": bad.cut_chunked(100_000),
    "always another version": lambda handler, body: handler.answer(
        200,
        {"Content-Length": str(len(body)), "ETag": f'"{len(handler.server.log)}"'},
        body[:150_000],
    ),
}


@pytest.mark.parametrize("attempts", [1, 2, 4])
@pytest.mark.parametrize("what", CUTS)
def test_a_server_that_always_cuts_is_asked_as_often_as_was_set(server, settings, what, attempts):
    server.always = CUTS[what]
    with pytest.raises(FetchError, match=rf"\({attempts} attempts\)"):
        fetch(server.put("/f", BODY), replace(settings, attempts=attempts))
    assert len(server.log) == attempts


@pytest.mark.parametrize("attempts", [1, 2])
def test_an_archive_without_a_version_too(server, settings, attempts):
    server.always = bad.cut_chunked(100_000)
    card = packed((server.put("/t", archive(PHOTOS)),), PHOTOS)
    with pytest.raises(FetchError):
        bring(card, replace(settings, attempts=attempts))
    assert len(server.log) == attempts


SELF = ["localhost", "127.1", "2130706433", "0.0.0.0", "0x7f.1", "LOCALHOST"]


@pytest.mark.parametrize("host", SELF)
@ways
def test_a_redirect_does_not_lead_to_another_private_host(server, settings, way, host, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    port = server.server_address[1]
    server.put("/secret", BODY)
    every_method(server, bad.honest)
    url = server.put("/f", BODY, *[bad.redirect(f"http://{host}:{port}/secret")] * 3)
    with pytest.raises(FetchError, match="which is a private address|no length"):
        WAYS[way](url, settings)
    assert "/secret" not in [path for path, _ in server.log]


@ways
def test_it_may_stay_on_the_private_host_that_was_named(server, settings, way):
    """A mirror in the classroom with its files at another port."""
    other = bad.Server()
    every_method(other, bad.honest)
    threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
    every_method(server, bad.redirect(other.put("/real", BODY)))
    WAYS[way](server.put("/f", BODY), settings)
    assert [path for path, _ in other.log] == ["/real"]
    other.shutdown()
    other.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]"])
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "behind a proxy"])
@pytest.mark.parametrize("way", ["fetch", "pin"])
def test_from_the_web_nothing_leads_into_the_house(
    server, settings, way, host, direct, monkeypatch
):
    """The web is behind a proxy here, which answers for public.example as it likes."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("NO_PROXY", host.strip("[]") if direct else "")
    monkeypatch.setenv("no_proxy", host.strip("[]") if direct else "")
    to = f"http://{host}:{server.server_address[1]}/secret"
    url = "http://public.example/f"
    for path in (url, to, "/secret"):
        server.put(path, BODY)
    assert WAYS[way](url, replace(settings, home=settings.home / "before"))
    server.script[url].extend([bad.redirect(to)] * 3)
    with pytest.raises(FetchError, match="which is a private address"):
        WAYS[way](url, settings)
    assert {path for path, _ in server.log} == {url}


def test_the_hubs_answer_comes_by_the_same_way(server, settings, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    path = "/api/models/some/tiny/revision/main?blobs=True"
    port = server.server_address[1]
    server.put("/secret", b"{}")
    for behaviour, words in (
        (bad.redirect(f"http://localhost:{port}/secret"), "which is a private address"),
        (bad.drip(DRIPS["headers"]), "it was not done within|no answer within"),
        (bad.half, r"\(2 attempts\)"),
    ):
        server.put(path, BODY, *[behaviour] * 3)
        with pytest.raises(FetchError, match=words):
            listing("some/tiny", "main", replace(settings, stall_s=0.1, attempts=2))
        server.script[path].clear()
    assert "/secret" not in [path for path, _ in server.log]
