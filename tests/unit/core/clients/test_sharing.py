"""Clients are shared by threads, survive a fork, and serve several event loops."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

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
