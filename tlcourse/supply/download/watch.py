"""All connections of one request: how long they last, and to which addresses they lead.

A server that sends a byte now and then never runs into the timeout of a socket, whether in its headers,
its chunks or its body. So a timer ends the request's connections, whatever they are doing.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tlcourse.errors import FetchError

if TYPE_CHECKING:
    import requests


class Watch:
    """late: whether the deadline has ended the request. redirected: whether a redirect was followed."""

    def __init__(self, longest_s: float):
        self.reason = f"it was not done within {longest_s:,.3g} s"
        self.late = self.redirected = False
        self._home: str | None = None  # the host of the first URL, if its address is private
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(longest_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Watch:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for one in self._sockets:
            one.close()

    def session(self) -> requests.Session:
        """A session whose connections are watched, and which reads no body of a redirect."""
        import requests

        watched = _watched_pools(self)

        class Adapter(requests.adapters.HTTPAdapter):
            def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
                super().init_poolmanager(*args, **kwargs)
                self.poolmanager.pool_classes_by_scheme = watched

            def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
                manager = super().proxy_manager_for(proxy, **kwargs)
                if not proxy.lower().startswith("socks"):
                    manager.pool_classes_by_scheme = watched
                return manager

        session = requests.Session()
        # Else requests reads and unpacks the whole body before it looks where a redirect leads.
        session.get_redirect_target = lambda response: None
        for scheme in ("http://", "https://"):
            session.mount(scheme, Adapter())
        return session

    def admit(self, sock: socket.socket, host: str) -> None:
        """Watch a connection that was just made. Raises FetchError, before anything is sent, if a
        redirect led it to an address that is not public."""
        if not is_public(sock.getpeername()[0]):
            if self.redirected and host != self._home:
                sock.close()
                raise FetchError(f"it redirects to {host!r}, which is a private address")
            self._home = host
        self.keep(sock)

    def keep(self, sock: socket.socket) -> None:
        self._sockets.append(sock.dup())  # TLS takes the first one over
        if self.late:
            self._end()

    def _end(self) -> None:
        self.late = True
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def is_public(host: str) -> bool:
    """Whether an address is one of the internet; of a name, whether it is not this machine's own.

    >>> is_public("192.168.1.7"), is_public("::ffff:127.0.0.1"), is_public("8.8.8.8")
    (False, False, True)
    """
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.rstrip(".").rpartition(".")[2] != "localhost"
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_global and not ip.is_multicast


def _watched_pools(watch: Watch) -> dict[str, type]:
    """urllib3's pools by scheme, with every connection shown to `watch`."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

    def watched(pool: type) -> type:
        class Connection(pool.ConnectionCls):
            def _new_conn(self) -> socket.socket:
                sock = super()._new_conn()
                if self.proxy:
                    watch.keep(sock)
                else:
                    watch.admit(sock, self.host)
                return sock

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

    return {"http": watched(HTTPConnectionPool), "https": watched(HTTPSConnectionPool)}
