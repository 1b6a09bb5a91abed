"""urllib3's connections, ended by the watchdog and, where asked for, to public addresses only."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from core.clients.addresses import public_address
from core.clients.watchdog import Limit

POOL_SIZE = 32


class _Current(threading.local):
    limit: Limit | None = None


current = _Current()


class _Watched:
    """What both kinds of connection have in addition."""

    allow_private = True
    _wire: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        connection: Any = super()
        if self.allow_private:
            sock: socket.socket = connection._new_conn()
        else:
            sock = self._publicly(connection)
        # TLS takes the socket over; a copy still reaches the connection.
        self._wire = sock.dup()
        self._attach()
        return sock

    def _publicly(self, connection: Any) -> socket.socket:
        me: Any = self
        # urllib3 connects to this name, and later checks the certificate against it.
        name = me._dns_host
        me._dns_host = public_address(name, me.port)
        try:
            sock: socket.socket = connection._new_conn()
            return sock
        finally:
            me._dns_host = name

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._attach()
        connection: Any = super()
        connection.request(*args, **kwargs)

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.close()
        connection: Any = super()
        connection.close()

    def _attach(self) -> None:
        if current.limit is not None:
            current.limit.wire = self._wire


class _HTTP(_Watched, HTTPConnection):
    pass


class _HTTPS(_Watched, HTTPSConnection):
    pass


class _PublicHTTP(_HTTP):
    allow_private = False


class _PublicHTTPS(_HTTPS):
    allow_private = False


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTP


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPS


class WatchedAdapter(HTTPAdapter):
    """A pool of such connections."""

    def __init__(self, *, allow_private: bool) -> None:
        self._pools: dict[str, Any] = (
            {"http": _HTTPPool, "https": _HTTPSPool}
            if allow_private
            else {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
        )
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools as requests does, of other connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools
