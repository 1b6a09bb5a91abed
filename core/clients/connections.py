"""urllib3's connections, ended by the watchdog and, where asked for, to public addresses only."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from core.clients.addresses import looked_up, only_public
from core.clients.call import misled
from core.clients.per_origin import MOST
from core.clients.urls import origin
from core.clients.watchdog import Limit, Wire

POOL_SIZE = 32


class _Current(threading.local):
    limit: Limit | None = None


current = _Current()


class _Watched:
    """What both kinds of connection have in addition."""

    allow_private = True
    _wire: Wire | None = None

    def _new_conn(self) -> socket.socket:
        me: Any = self
        # urllib3 connects to this name, and later checks the certificate against it.
        name, seconds = me._dns_host, me.timeout
        try:
            sock = self._connected(name, seconds)
        finally:
            me._dns_host, me.timeout = name, seconds
        try:
            self._wire = Wire(sock)
        except BaseException:
            sock.close()
            raise
        self._attach()
        return sock

    def _connected(self, name: str, seconds: float) -> socket.socket:
        """Try the addresses of the name, all of them together in that time."""
        me: Any = self
        connection: Any = super()
        ends_at = time.monotonic() + seconds
        try:
            addresses = looked_up(name, me.port, seconds)
        except TimeoutError as error:
            raise ConnectTimeoutError(me, "the name was not found in time") from error
        addresses = addresses if self.allow_private else only_public(addresses)
        for number, address in enumerate(addresses):
            share = (ends_at - time.monotonic()) / (len(addresses) - number)
            me._dns_host, me.timeout = address, max(share, 0.001)
            try:
                sock: socket.socket = connection._new_conn()
                return sock
            except (ConnectTimeoutError, NewConnectionError):
                if number == len(addresses) - 1:
                    raise
        raise NewConnectionError(me, "the name has no address")

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._attach()
        connection: Any = super()
        connection.request(*args, **kwargs)

    def rest(self) -> None:
        """Leave the exchange that is over; what was shut down with it is not used again."""
        if self._wire is not None and not self._wire.rest():
            self.close()

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        connection: Any = super()
        connection.close()

    def _attach(self) -> None:
        if current.limit is not None and self._wire is not None:
            self._wire.carry(current.limit)


class _HTTP(_Watched, HTTPConnection):
    pass


class _HTTPS(_Watched, HTTPSConnection):
    pass


class _PublicHTTP(_HTTP):
    allow_private = False


class _PublicHTTPS(_HTTPS):
    allow_private = False


class _Resting:
    """A pool whose connections belong to no exchange while they are in it."""

    def _put_conn(self, conn: Any) -> None:
        # Before others can take it: they must not be cut off by the end of a time not theirs.
        if conn is not None:
            conn.rest()
        pool: Any = super()
        pool._put_conn(conn)


class _HTTPPool(_Resting, HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(_Resting, HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _PublicHTTPPool(_Resting, HTTPConnectionPool):
    ConnectionCls = _PublicHTTP


class _PublicHTTPSPool(_Resting, HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPS


class WatchedAdapter(HTTPAdapter):
    """A pool of such connections."""

    def __init__(self, *, allow_private: bool) -> None:
        self._pools: dict[str, Any] = (
            {"http": _HTTPPool, "https": _HTTPSPool}
            if allow_private
            else {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
        )
        super().__init__(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools as requests does, of other connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Make the pools of a proxy in the same way."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        # A SOCKS proxy needs connections of its own, which only their timeouts bound.
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


class Session(requests.Session):
    """A session that asks the environment for proxies and certificates once per origin.

    requests does so for every call, which takes about 100 µs: it searches all variables twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._settings: dict[str, Any] = {}

    def get_redirect_target(self, resp: Any) -> None:
        """Lead nowhere: the call follows redirects itself.

        requests prepares the next request although it is not to follow, and for that reads the
        answer to its end, however much that is.
        """

    def merge_environment_settings(self, url: Any, *options: Any) -> Any:
        """Return what requests finds for the first call to this origin."""
        key = origin(url)
        found = self._settings.get(key)
        if found is None:
            if len(self._settings) >= MOST:
                self._settings.clear()
            found = super().merge_environment_settings(url, *options)
            if isinstance(found["verify"], str) and not os.path.exists(found["verify"]):
                raise misled(FileNotFoundError())
            self._settings[key] = found
        return found
