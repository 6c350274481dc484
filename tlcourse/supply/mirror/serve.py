"""Serving a mirror to a classroom: read-only, this folder and nothing else, many at once."""

from __future__ import annotations

import os
import re
import socket
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tlcourse.errors import SupplyError
from tlcourse.supply.mirror.index import leaves

TYPES = {".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8"}


class Server(ThreadingHTTPServer):
    """Serves `folder` at `url` as long as `serve_forever` runs."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # a class begins in the same second

    def __init__(self, folder: Path, host: str, port: int):
        self.folder = folder.resolve()
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the name service who we are and may wait for it.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request, client_address) -> None:
        """A learner who closes the lid is no event."""

    @property
    def url(self) -> str:
        """What learners type."""
        host, port = self.server_address[:2]
        return f"http://{lan_address() if host == '0.0.0.0' else host}:{port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # pip asks for a hundred files: one connection will do
    timeout = 60
    server_version, sys_version = "tlcourse", ""
    server: Server

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        target = find(self.server.folder, self.path)
        if isinstance(target, str):
            self.status(HTTPStatus.MOVED_PERMANENTLY, {"Location": target})
            return
        try:
            file = open(target, "rb") if target else None
        except OSError:
            file = None
        if file is None:
            self.status(HTTPStatus.NOT_FOUND)
            return
        with file:
            stat = os.fstat(file.fileno())
            etag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
            asked = self.headers.get("Range", "")
            if self.headers.get("If-Range", etag) != etag:
                asked = ""
            span = span_of(asked, stat.st_size)
            if span is None:
                self.status(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                    {"Content-Range": f"bytes */{stat.st_size}"},
                )
                return
            begin, end = span
            part = end - begin < stat.st_size
            self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
            self.send_header("Content-Length", str(end - begin))
            self.send_header(
                "Content-Type", TYPES.get(target.suffix.lower(), "application/octet-stream")
            )
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", formatdate(stat.st_mtime, usegmt=True))
            self.send_header("Accept-Ranges", "bytes")
            if part:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{stat.st_size}")
            self.end_headers()
            if body and end > begin:
                self.wfile.flush()
                if self.connection.sendfile(file, begin, end - begin) < end - begin:
                    self.close_connection = True  # the file shrank: only that can say so

    def status(self, code: HTTPStatus, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in ({"Content-Length": "0"} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_) -> None:
        """Thirty learners write no log."""


def find(folder: Path, asked: str) -> Path | str | None:
    """The file that a request's path names; a path to ask instead; None if there is nothing to see.

    Nothing above `folder`, no name with a dot before it, no link that leads out, no listing.
    """
    path = unquote(urlsplit(asked).path).removeprefix("/")
    if path == "":
        path = "README.txt"
    plain = path.removesuffix("/")
    if any(part.startswith(".") for part in plain.split("/")) or leaves(plain):
        return None
    target = folder / plain
    try:
        if not target.resolve().is_relative_to(folder):
            return None
        if target.is_dir():
            if not (target / "index.html").is_file():
                return None
            return target / "index.html" if path.endswith("/") else f"/{plain}/"
        return target if target.is_file() and not path.endswith("/") else None
    except (OSError, ValueError):
        return None


def span_of(asked: str, size: int) -> tuple[int, int] | None:
    """Begin and end of what a Range asks for; None if there is no such part.

    >>> span_of("bytes=2-", 10), span_of("bytes=-3", 10), span_of("", 10), span_of("bytes=10-", 10)
    ((2, 10), (7, 10), (0, 10), None)
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip())
    if not match or match[0] == "bytes=-":
        return 0, size  # as servers do with what they do not understand
    first, last = match[1], match[2]
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    begin, end = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < begin:
        return 0, size
    return (begin, end) if begin < size else None


def lan_address() -> str:
    """This machine's address on the network, as far as it can be known without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documents; connecting sends no packet
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def open_server(folder: Path, host: str, port: int) -> Server:
    """A server that listens already. Raises SupplyError if the address is not to be had."""
    try:
        return Server(folder, host, port)
    except OSError as error:
        raise SupplyError(
            f"Cannot listen at {host}:{port} ({error.strerror}). Another --port (0: any that is "
            f"free) or --host (127.0.0.1: this machine alone; 0.0.0.0: the network) may do."
        ) from error
