"""Serving a mirror to a classroom: read-only, this folder and nothing else, many at once.

Tornado's static file handler answers ranges and conditions; it comes with JupyterLab. Here is only
what it does not do: hidden names, links in every version of tornado, If-Range (without which a
download could be resumed from another version of a file), and an ETag that does not read the file.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from pathlib import Path
from urllib.parse import unquote

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, StaticFileHandler

from tlcourse.errors import SupplyError
from tlcourse.supply.mirror.index import leaves

BACKLOG = 128  # a class begins in the same second
IDLE_S = 60  # pip requests a hundred files over one connection, then leaves it


class Server:
    """Serves `folder` at `url` while `serve_forever` runs; it listens from the beginning."""

    def __init__(self, folder: Path, host: str, port: int):
        self._sockets = bind_sockets(port, host, family=socket.AF_INET, backlog=BACKLOG)
        self.server_address: tuple[str, int] = self._sockets[0].getsockname()
        handler = (r"/(.*)", Handler, {"path": str(folder.resolve())})
        self._application = Application([handler], log_function=lambda handler: None)
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @property
    def url(self) -> str:
        """What learners type."""
        host, port = self.server_address
        return f"http://{lan_address() if host == '0.0.0.0' else host}:{port}"

    def serve_forever(self) -> None:
        """Serve until `shutdown` or Ctrl-C."""
        try:
            asyncio.run(self._serve())
        finally:
            self._ended.set()

    async def _serve(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
        if self._end.is_set():
            return
        server = HTTPServer(
            self._application,
            idle_connection_timeout=IDLE_S,
            max_body_size=0,
            max_buffer_size=1 << 20,
        )
        server.add_sockets(self._sockets)
        try:
            await self._end.wait()
        finally:
            server.stop()

    def shutdown(self) -> None:
        """End `serve_forever` from another thread, and wait until it has ended."""
        with self._lock:
            if self._loop is None:
                self._end.set()  # it will end as it begins
                return
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end.set)
        self._ended.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()


class Handler(StaticFileHandler):
    """GET and HEAD of the mirror's files; anything else is 404 or 405, with an empty body."""

    def initialize(self, path: str) -> None:
        super().initialize(path, "index.html")

    def set_default_headers(self) -> None:
        self.set_header("Server", "tlcourse")

    def parse_url_path(self, url_path: str) -> str:
        path = unquote(self.request.path).removeprefix("/")
        return allowed(Path(self.root), path or "README.txt")

    def compute_etag(self) -> str:
        stat = os.stat(self.absolute_path)
        return f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'

    def set_headers(self) -> None:
        super().set_headers()
        if self.request.headers.get("If-Range", etag := self.compute_etag()) != etag:
            self.request.headers.pop("Range", None)

    def write_error(self, status_code: int, **_) -> None:
        self.set_status(404 if status_code == 403 else status_code)
        self.finish()


def allowed(folder: Path, path: str) -> str:
    """A request's path below the mirror `folder`. Raises HTTPError 404 for what is not served.

    Not served: anything outside `folder`, also by a link; names that begin with a dot; listings.
    """
    plain = path.removesuffix("/")
    if any(part.startswith(".") for part in plain.split("/")) or leaves(plain):
        raise HTTPError(404)
    target = folder / plain
    try:
        inside = target.resolve().is_relative_to(folder)
        listing = target.is_dir() and not (target / "index.html").is_file()
        slashed = path.endswith("/") and not target.is_dir()
    except (OSError, ValueError):
        raise HTTPError(404) from None
    if not inside or listing or slashed:
        raise HTTPError(404)
    return plain


def lan_address() -> str:
    """This machine's address on the network, as far as it can be known without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documentation; connect sends no packet
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def open_server(folder: Path, host: str, port: int) -> Server:
    """A server that is listening. Raises SupplyError if it cannot listen at that address."""
    try:
        return Server(folder, host, port)
    except OSError as error:
        raise SupplyError(
            f"Cannot listen at {host}:{port} ({error.strerror}). Try another --port (0: any that is "
            f"free) or --host (127.0.0.1: this machine alone; 0.0.0.0: the network)."
        ) from error
