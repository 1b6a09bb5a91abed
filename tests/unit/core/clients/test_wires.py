"""Who may end a connection, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.clients import AsyncHTTPClient, HTTPClient, addresses, connections
from core.clients.watchdog import Limit, Wire
from core.exceptions import ExternalServiceError, ServiceTimeoutError
from tests.unit.core.clients.fault_server import FaultServer


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        other.settimeout(5)
        yield one, other


def is_whole(ends: tuple[socket.socket, socket.socket]) -> bool:
    """Tell whether a byte still gets through."""
    try:
        ends[0].send(b"x")
    except OSError:
        return False
    return ends[1].recv(1) == b"x"


def test_a_limit_ends_only_its_own_exchange(ends: Any) -> None:
    """A limit that runs out late does not cut off who has the connection by then."""
    wire = Wire(ends[0])
    late, current = Limit(0), Limit(0)
    wire.carry(late)
    assert wire.rest()
    wire.carry(current)
    # As the watchdog does when it has waited for its turn.
    late.expire()
    assert is_whole(ends)
    current.expire()
    assert not is_whole(ends)
    assert not wire.rest()
    wire.close()


def test_a_connection_that_comes_too_late_is_ended(ends: Any) -> None:
    """What is connected after the time was over does not get a time without end."""
    wire, limit = Wire(ends[0]), Limit(0)
    limit.expire()
    wire.carry(limit)
    assert not is_whole(ends)
    wire.rest()
    wire.close()


def test_a_connection_in_the_pool_belongs_to_nobody(server: FaultServer) -> None:
    """It is left before another thread can take it."""
    seen: list[bool] = []

    class Looking(connections._HTTPPool):
        def _put_conn(self, conn: Any) -> None:
            super()._put_conn(conn)
            seen.append(connections.current.limit.wire is None)

    with HTTPClient() as client:
        adapter: Any = client._session().get_adapter(server.url)
        adapter.poolmanager.pool_classes_by_scheme = {"http": Looking}
        client.get(server.url)
    assert seen == [True]


def test_no_descriptor_is_left(server: FaultServer) -> None:
    """Neither after an answer, nor after a time-out, nor when the server closes."""
    before = len(os.listdir("/proc/self/fd"))
    with HTTPClient(attempts=1, circuit_breaker=False) as client:
        for path in ("x", "drop", "short", "closing", "trickle", "garbage"):
            with contextlib.suppress(ExternalServiceError):
                client.get(server.url, path, timeout=0.1 if path in ("closing", "trickle") else 5)
    server.closing.set()
    deadline = time.monotonic() + 5
    # The server's own ends close in threads of its own.
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
        os.sched_yield()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_what_an_earlier_call_has_timed_out_does_not_harm(server: FaultServer) -> None:
    """Calls that share connections with such that time out are all answered."""
    failed: list[BaseException] = []
    client = HTTPClient(attempts=1, circuit_breaker=False)

    def stall() -> None:
        for _ in range(10):
            with pytest.raises(ServiceTimeoutError):
                client.get(server.url, "stall", timeout=0.01)

    def work() -> None:
        try:
            for _ in range(60):
                client.post(server.url, "x", timeout=30)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=target) for target in (stall, work, work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert not failed


def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the clients that names the variables, and is not tried again."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "http://")
    with pytest.raises(ExternalServiceError, match="HTTP_PROXY") as raised:
        HTTPClient().get("http://127.0.0.1:9")
    assert raised.value.details["attempts"] == 1
    monkeypatch.setenv("http_proxy", "ftp://127.0.0.1:9")
    with pytest.raises(ExternalServiceError, match="HTTP_PROXY") as raised:
        asyncio.run(AsyncHTTPClient().get("http://127.0.0.1:9"))
    assert raised.value.details["attempts"] == 1


def test_certificates_that_are_not_there(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in the environment that leads nowhere is no broken connection."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    with pytest.raises(ExternalServiceError, match="REQUESTS_CA_BUNDLE") as raised:
        HTTPClient().get(server.url.replace("http:", "https:"))
    assert raised.value.details["attempts"] == 1


def test_the_time_of_a_proxy_is_bounded(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that trickles through a proxy of the environment ends in time."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    with HTTPClient() as client, pytest.raises(ServiceTimeoutError):
        client.get("http://shop.example", "trickle", attempts=1, timeout=0.15)
    assert len(server.requests) == 1


def test_each_origin_goes_its_own_way(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client goes through the proxy of the environment, and directly where that says so."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HTTPClient() as client:
        for _ in range(2):
            client.get("http://shop.example", "echo", attempts=1)
            client.get(server.url, "echo", attempts=1)
    asked = [request.headers["host"] for request in server.requests]
    assert asked == ["shop.example", server.url.removeprefix("http://")] * 2


def test_a_look_up_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a call includes the name's."""
    release = threading.Event()

    def hang(*args: Any, **kwargs: Any) -> Any:
        release.wait(10)
        raise OSError

    monkeypatch.setattr(addresses.socket, "getaddrinfo", hang)
    started = time.monotonic()
    try:
        with HTTPClient() as client, pytest.raises(ServiceTimeoutError):
            client.get("http://shop.example", attempts=1, timeout=0.1)
    finally:
        release.set()
    assert time.monotonic() - started < 5


def test_all_addresses_together_have_the_time_of_one(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next address is tried when one does not answer; the last one that does is taken."""
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "shop.example":
            return real(host, port, *args, **kwargs)
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look_up)
    with HTTPClient() as client:
        url = f"http://shop.example:{server.port}"
        assert client.get(url, attempts=1).status_code == 200


def test_a_forked_watchdog_starts_afresh(server: FaultServer) -> None:
    """A child bounds its calls as well."""
    with HTTPClient() as client:
        client.get(server.url)
        child = os.fork()
        if child == 0:
            try:
                client.get(server.url, "trickle", attempts=1, timeout=0.1)
            except ServiceTimeoutError:
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
