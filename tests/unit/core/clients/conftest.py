"""One suite for both clients: tests call the methods of either as if they were sync."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

import pytest

from core.clients import AsyncHTTPClient, HTTPClient, circuits
from core.clients.budget import budgets
from tests.unit.core.clients.fault_server import FaultServer, Server, fault_server


class Blocking:
    """An asynchronous client whose methods can be called from a test."""

    def __init__(self, client: AsyncHTTPClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __repr__(self) -> str:
        return repr(self._client)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not inspect.iscoroutinefunction(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._runner.run(method(*args, **kwargs))

        return call


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    circuits.reset()
    budgets.reset()
    yield
    circuits.reset()
    budgets.reset()


@pytest.fixture(scope="session")
def _servers() -> Iterator[list[Server]]:
    with fault_server() as one, fault_server() as another:
        yield [one, another]


@pytest.fixture
def server(_servers: list[Server]) -> Iterator[FaultServer]:
    """A server that misbehaves as its paths say."""
    with _servers[0].watched() as faults:
        yield faults


@pytest.fixture
def elsewhere(_servers: list[Server]) -> Iterator[FaultServer]:
    """A server of somebody else."""
    with _servers[1].watched() as faults:
        yield faults


@pytest.fixture(autouse=True, scope="session")
def _without_access_log() -> Iterator[None]:
    """httpbin writes each request to the terminal, from a thread that pytest does not capture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WSGIRequestHandler, "log_message", lambda *args: None)
        yield


@pytest.fixture(params=["sync", "async"])
def client_of(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Make a client, sync or async, that does not wait long between attempts."""
    made: list[Any] = []
    runner = asyncio.Runner()

    def make(**options: Any) -> Any:
        options = {"backoff": 0.01, **options}
        if request.param == "sync":
            made.append(HTTPClient(**options))
        else:
            made.append(Blocking(AsyncHTTPClient(**options), runner))
        return made[-1]

    yield make
    for client in made:
        client.close() if request.param == "sync" else client.aclose()
    runner.close()


@pytest.fixture
def client(client_of: Callable[..., Any]) -> Any:
    """A client with the usual options."""
    return client_of()
