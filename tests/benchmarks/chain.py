"""Requests through Django's handlers, with the project's middleware and with Django's alone."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory, override_settings
from django.urls import path

from core.utils.logger import log_api_request


def answer(request: HttpRequest) -> HttpResponse:
    """Answer at once, without a database."""
    return HttpResponse("ok")


async def aanswer(request: HttpRequest) -> HttpResponse:
    """Answer in the event loop."""
    return HttpResponse("ok")


urlpatterns = [path("sync", answer), path("async", aanswer)]
_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/async",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
    "server": ("localhost", 80),
    "client": ("127.0.0.1", 50000),
}


def wsgi(*, times: int, ours: bool) -> float:
    """Return the seconds of a request that a thread serves."""
    with _urls():
        handler = _handler(WSGIHandler, ours)
        environ = RequestFactory()._base_environ(PATH_INFO="/sync")  # type: ignore[attr-defined]

        def request() -> None:
            given = {**environ, "wsgi.input": io.BytesIO()}
            response = handler(given, lambda *_: None)
            b"".join(response)
            response.close()

        request()
        started = time.perf_counter()
        for _ in range(times):
            request()
        return (time.perf_counter() - started) / times


def asgi(*, times: int, ours: bool) -> float:
    """Return the seconds from request to response in an event loop, by our middleware alone.

    Django goes to a thread and back for each of its own, and for the signals around a request. That
    takes milliseconds, in which what is measured here would be lost.
    """
    with _urls():
        return asyncio.run(_responses(_handler(ASGIHandler, ours, djangos=False), times))


async def _responses(handler: ASGIHandler, times: int) -> float:
    async def request() -> HttpResponseBase:
        return await handler.get_response_async(ASGIRequest(dict(_SCOPE), io.BytesIO()))

    assert (await request()).status_code == 200
    started = time.perf_counter()
    for _ in range(times):
        await request()
    return (time.perf_counter() - started) / times


def request_log(*, times: int) -> float:
    """Return the seconds that handing over the record of one request takes."""
    record = {"method": "GET", "path": "/api/orders", "status": 200, "duration": 0.012}
    log_api_request(**record)  # type: ignore[arg-type]  # of several types
    started = time.perf_counter()
    for _ in range(times):
        log_api_request(**record)  # type: ignore[arg-type]  # of several types
    return (time.perf_counter() - started) / times


@contextmanager
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"]):
        yield


@cache
def _handler(kind: type, ours: bool, djangos: bool = True) -> Any:
    wanted = {True: ours, False: djangos}
    names = [name for name in settings.MIDDLEWARE if wanted[name.startswith("core.")]]
    with override_settings(MIDDLEWARE=names):
        return kind()
