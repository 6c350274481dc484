"""A real HTTP server on 127.0.0.1 that serves honestly until it is told to misbehave.

A behaviour is a function (handler, body) that answers one GET; a path's behaviours are used up in
order, the last word being the honest one.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self):
        self.server.log.append((self.path, dict(self.headers)))
        queue = self.server.script[self.path]
        behaviour = queue.popleft() if queue else self.server.always
        body = self.server.files.get(self.path)
        self.close_connection = True
        try:
            if body is None:
                status(404)(self, b"")
            else:
                behaviour(self, body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def do_HEAD(self):
        self.server.log.append((self.path, dict(self.headers)))
        body = self.server.files.get(self.path)
        self.answer(404 if body is None else 200, {"Content-Length": str(len(body or b""))})

    def answer(self, code: int, headers: dict[str, str], body: bytes = b""):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: dict[str, deque[Behaviour]] = defaultdict(deque)
        self.always: Behaviour = honest
        self.log: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, path: str, body: bytes, *behaviours: Behaviour) -> str:
        """Have a file, and misbehave about it in this order; its URL."""
        self.files[path] = body
        self.script[path].extend(behaviours)
        return self.url + path

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.log]


def etag(body: bytes) -> str:
    import hashlib

    return f'"{hashlib.md5(body).hexdigest()}"'


def honest(handler: Handler, body: bytes) -> None:
    """Content-Length, a strong ETag, Range and If-Range, as a static server should."""
    headers = {"ETag": etag(body), "Content-Type": "application/octet-stream"}
    match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    fits = handler.headers.get("If-Range", etag(body)) == etag(body)
    if match and fits:
        begin = int(match[1])
        if begin >= len(body):
            handler.answer(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
            return
        headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        headers["Content-Length"] = str(len(body) - begin)
        handler.answer(206, headers, body[begin:])
        return
    handler.answer(200, headers | {"Content-Length": str(len(body))}, body)


def cut(after: int) -> Behaviour:
    """Promise everything, honestly from the asked offset; send `after` bytes; hang up."""

    def behave(handler: Handler, body: bytes) -> None:
        begin = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        headers = {"ETag": etag(body), "Content-Length": str(len(body) - begin)}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        handler.answer(206 if begin else 200, headers, body[begin : begin + after])

    return behave


def cut_chunked(after: int) -> Behaviour:
    """A chunked body without its end."""

    def behave(handler: Handler, body: bytes) -> None:
        handler.answer(200, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(f"{after:x}\r\n".encode() + body[:after] + b"\r\n")

    return behave


def chunked(handler: Handler, body: bytes) -> None:
    """The whole in chunks, no length, no validator: as GitHub sends tarballs."""
    handler.answer(200, {"Transfer-Encoding": "chunked"})
    for begin in range(0, len(body), 40_000):
        piece = body[begin : begin + 40_000]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def length(claimed: int) -> Behaviour:
    """Send the whole, claim another length."""
    return lambda handler, body: handler.answer(200, {"Content-Length": str(claimed)}, body)


def no_range(handler: Handler, body: bytes) -> None:
    handler.answer(200, {"Content-Length": str(len(body))}, body)


def wrong_range(handler: Handler, body: bytes) -> None:
    """Answer a Range with bytes from somewhere else."""
    headers = {"Content-Range": f"bytes 0-9/{len(body)}", "Content-Length": "10"}
    handler.answer(206, headers, body[:10])


def corrupt(handler: Handler, body: bytes) -> None:
    honest(handler, body[:-1] + bytes([body[-1] ^ 1]))


def page(handler: Handler, body: bytes) -> None:
    text = b"<html>Please log in to this network</html>"
    handler.answer(200, {"Content-Type": "text/html; charset=utf-8"}, text)


def gzipped(handler: Handler, body: bytes) -> None:
    import gzip

    small = gzip.compress(body)
    handler.answer(200, {"Content-Encoding": "gzip", "Content-Length": str(len(small))}, small)


def in_circles(handler: Handler, body: bytes) -> None:
    handler.answer(302, {"Location": handler.path, "Content-Length": "0"})


def status(code: int, **headers: str) -> Behaviour:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler, body: handler.answer(code, {"Content-Length": "0"} | named)


def stall(after: int) -> Behaviour:
    """Send `after` bytes, then nothing, and keep the connection."""

    def behave(handler: Handler, body: bytes) -> None:
        handler.answer(200, {"ETag": etag(body), "Content-Length": str(len(body))}, body[:after])
        handler.wfile.flush()
        handler.server.released.wait(60)

    return behave


def mute(handler: Handler, body: bytes) -> None:
    handler.server.released.wait(60)


def trickle(handler: Handler, body: bytes) -> None:
    """A byte now and then: never silent for long, never done."""
    handler.answer(200, {"Content-Length": str(len(body))})
    for index in range(len(body)):
        handler.wfile.write(body[index : index + 1])
        if handler.server.released.wait(0.05):
            return


def drip(text: bytes, pause_s: float = 0.01) -> Behaviour:
    """Send this, whatever it is, byte by byte: no read ever waits for long."""

    def behave(handler: Handler, body: bytes) -> None:
        handler.wfile.write(text[:1])
        for byte in text[1:]:
            if handler.server.released.wait(pause_s):
                return
            handler.wfile.write(bytes([byte]))

    return behave


def redirect(to: str, body: bytes = b"", **headers: str) -> Behaviour:
    """A redirect with a body of its own."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    told = {"Location": to, "Content-Length": str(len(body))} | named
    return lambda handler, _: handler.answer(302, told, body)


def half(handler: Handler, body: bytes) -> None:
    """The first half of it, whatever was asked for."""
    handler.answer(200, {"Content-Length": str(len(body))}, body[: len(body) // 2])


def endless(handler: Handler, body: bytes) -> None:
    handler.answer(200, {"Content-Type": "application/octet-stream"})
    while not handler.server.released.is_set():
        handler.wfile.write(bytes(1 << 16))


def slow(block: int, pause_s: float) -> Behaviour:
    """Honest, but in blocks with a pause after each."""

    def behave(handler: Handler, body: bytes) -> None:
        begin = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        headers = {"ETag": etag(body), "Content-Length": str(len(body) - begin)}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        handler.answer(206 if begin else 200, headers)
        for at in range(begin, len(body), block):
            handler.wfile.write(body[at : at + block])
            time.sleep(pause_s)

    return behave
