"""Sends requests through the real WSGI and ASGI handlers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

SERVERS = pytest.mark.parametrize("server", ["wsgi", "asgi"])


@dataclass
class Answer:
    """What a client gets; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def urls(*patterns: Any, **handlers: Any) -> ModuleType:
    """Return a module that ROOT_URLCONF can be."""
    module = ModuleType("served_urls")
    vars(module).update(urlpatterns=list(patterns), **handlers)
    return module


def ask(
    server: str, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> Answer:
    """Send one request to a new handler of this kind, and read the whole answer."""
    given = {"host": "testserver", **{k.lower(): v for k, v in (headers or {}).items()}}
    send = _wsgi if server == "wsgi" else _asgi
    with open_connections():
        return send(method, path, given)


@contextmanager
def open_connections() -> Iterator[None]:
    """Have nobody close the connections of the test, as servers do between two requests."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


def _wsgi(method: str, path: str, headers: Mapping[str, str]) -> Answer:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": BytesIO(),
        "wsgi.url_scheme": "http",
    }
    for name, value in headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    told: list[Any] = []
    response = WSGIHandler()(environ, lambda status, found, *_: told.extend([status, found]))
    try:
        body = b"".join(response)
    finally:
        response.close()
    return Answer(int(told[0][:3]), {k.lower(): v for k, v in told[1]}, body)


def _asgi(method: str, path: str, headers: Mapping[str, str]) -> Answer:
    # From here code that needs a thread runs in this one, with its database connection.
    return async_to_sync(aask)(method, path, headers)


async def aask(method: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Send one request to a new ASGI handler."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "client": ["127.0.0.1", 50000],
        "server": ["testserver", 80],
        "headers": [(k.encode("latin1"), v.encode("latin1")) for k, v in headers.items()],
    }
    # Not the handler itself: it gives each request a thread, and so a database connection, of its
    # own, which sees nothing of a test's transaction.
    communicator = ApplicationCommunicator(ASGIHandler().handle, scope)
    await communicator.send_input({"type": "http.request", "body": b"", "more_body": False})
    begin = await communicator.receive_output(10)
    parts: list[bytes] = []
    while True:
        part = await communicator.receive_output(10)
        parts.append(part.get("body", b""))
        if not part.get("more_body"):
            break
    await communicator.wait(10)
    found = {k.decode("latin1").lower(): v.decode("latin1") for k, v in begin["headers"]}
    return Answer(begin["status"], found, b"".join(parts))
