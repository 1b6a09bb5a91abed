"""Clients are shared by threads, survive a fork, and serve several event loops."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.clients import AsyncHTTPClient, HTTPClient
from tests.unit.core.clients.fault_server import FaultServer


def test_threads_share_a_client(server: FaultServer) -> None:
    """Each gets its own answer."""
    with HTTPClient() as client, ThreadPoolExecutor(8) as pool:
        paths = [f"/item/{number}" for number in range(200)]
        answers = pool.map(lambda path: client.get_json(server.url, path)["path"], paths)
        assert list(answers) == paths


def test_a_fork_gets_connections_of_its_own(server: FaultServer) -> None:
    """A child does not read the answers of its parent."""
    with HTTPClient() as client:
        client.get(server.url, "parent")
        child = os.fork()
        if child == 0:
            fine = all(
                client.get_json(server.url, f"child/{number}")["path"] == f"/child/{number}"
                for number in range(20)
            )
            os._exit(0 if fine else 1)
        for number in range(20):
            assert client.get_json(server.url, f"p/{number}")["path"] == f"/p/{number}"
        assert os.waitpid(child, 0)[1] == 0
    assert server.connections == 2


def test_several_event_loops(server: FaultServer) -> None:
    """One client serves one loop after another."""
    client = AsyncHTTPClient()

    async def call() -> int:
        async with client:
            return (await client.get(server.url)).status_code

    assert [asyncio.run(call()) for _ in range(3)] == [200] * 3


def test_many_at_once(server: FaultServer) -> None:
    """Coroutines share a client as well."""

    async def call_all() -> list[str]:
        async with AsyncHTTPClient() as client:
            calls = [client.get_json(server.url, f"item/{number}") for number in range(50)]
            return [told["path"] for told in await asyncio.gather(*calls)]

    assert asyncio.run(call_all()) == [f"/item/{number}" for number in range(50)]


def test_a_cancelled_call_leaves_the_client_usable(server: FaultServer) -> None:
    """Whoever gives up does not break the next call."""

    async def cancel() -> int:
        async with AsyncHTTPClient() as client:
            task = asyncio.create_task(client.get(server.url, "stall"))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return (await client.get(server.url)).status_code

    assert asyncio.run(cancel()) == 200


def test_connections_end_with_their_loop(server: FaultServer) -> None:
    """A client that lives as long as the process keeps nothing of loops that have ended."""
    client = AsyncHTTPClient()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            assert asyncio.run(client.get(server.url)).status_code == 200
            gc.collect()
    assert not client._clients


def test_a_loop_that_was_just_dropped(server: FaultServer) -> None:
    """It is forgotten when another one calls."""
    client = AsyncHTTPClient()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.get(server.url, headers={"Accept": "a/b"}))
    held = client._clients[loop]
    loop.run_until_complete(held[0].aclose())
    loop.close()
    asyncio.run(client.get(server.url))
    assert loop not in client._clients


def test_more_services_than_a_pool_of_requests(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections to many services are kept at the same time."""
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1" if host.endswith(".example") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with HTTPClient() as client:
        for number in [*range(15), *range(15)]:
            client.get(f"http://service-{number}.example:{server.port}")
    assert server.connections == 15


def test_a_child_lets_go_of_its_parent_s_connections(server: FaultServer) -> None:
    """They would stay open at the server after the parent has closed them."""
    with HTTPClient() as client:
        client.get(server.url)
        child = os.fork()
        if child == 0:
            client.get(server.url)
            os._exit(0 if list(client._sessions) == [os.getpid()] else 1)
        assert os.waitpid(child, 0)[1] == 0
