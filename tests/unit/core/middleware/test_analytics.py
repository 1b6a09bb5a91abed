"""Requests are measured: the facts, and nothing that a receiver does to the response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client, RequestFactory
from django.urls import include, path
from django.utils.functional import SimpleLazyObject

from core.context import event_context
from core.middleware.analytics import AnalyticsMiddleware
from core.signals.user_activity import request_measured

Facts = dict[str, Any]
PATIENCE = 10
SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
}


def page(request: HttpRequest, number: int = 0) -> HttpResponse:
    """Answer; as somebody else if a number says who."""
    if number:
        request.user = User(pk=number)
    return HttpResponse("page", status=201)


async def apage(request: HttpRequest, number: int) -> HttpResponse:
    """Answer in the event loop."""
    return page(request, number)


def fails(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise ZeroDivisionError


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    """Answer piece by piece."""
    return StreamingHttpResponse(iter(["a", "b"]))


async def astreamed(request: HttpRequest) -> StreamingHttpResponse:
    """Answer piece by piece in the event loop."""

    async def parts() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    return StreamingHttpResponse(parts())


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    """Begin an answer, and never end it."""

    async def parts() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    return StreamingHttpResponse(parts())


urls = ModuleType("analytics_test_urls")
vars(urls).update(
    urlpatterns=[
        path("page", page),
        path("shop/", include([path("page/<int:number>", page), path("async/<number>", apage)])),
        path("fails", fails),
        path("streamed", streamed),
        path("astreamed", astreamed),
        path("endless", endless),
        path("health/live/", page),
    ]
)


@pytest.fixture(autouse=True)
def _system(settings: Any) -> None:
    settings.ROOT_URLCONF = urls
    settings.DEBUG = False
    settings.MIDDLEWARE = ["core.middleware.analytics.AnalyticsMiddleware"]
    settings.ANALYTICS_EXCLUDED_PATHS = ["/health/"]


@pytest.fixture
def measured() -> Iterator[list[Facts]]:
    """What a receiver was told."""
    heard: list[Facts] = []

    def hear(*, facts: Facts, **kwargs: Any) -> None:
        assert kwargs["sender"] is AnalyticsMiddleware
        heard.append(facts)

    request_measured.connect(hear)
    yield heard
    request_measured.disconnect(hear)


@pytest.fixture
def _without_database() -> Iterator[None]:
    """Closing a response would look after connections."""
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)


def get(address: str) -> Any:
    return Client(raise_request_exception=False).get(address)


def test_the_facts(measured: list[Facts]) -> None:
    """They name the route and never the path, whose ids and secrets are nobody's business."""
    with event_context(actor=7, tenant="acme", correlation_id="c-1"):
        get("/shop/page/0?token=secret")
    (facts,) = measured
    duration = facts.pop("duration_ms")
    assert 0 < duration < 5000
    assert facts == {
        "method": "GET",
        "route": "shop/page/<int:number>",
        "status": 201,
        "user_id": "7",
        "tenant_id": "acme",
        "correlation_id": "c-1",
    }


def test_requests_that_go_wrong(measured: list[Facts]) -> None:
    """An error and an address that leads nowhere are told too; a made-up method is not."""
    get("/fails")
    get("/nowhere/12345")
    Client().generic("BREW", "/page")
    found = [(facts["method"], facts["route"], facts["status"]) for facts in measured]
    assert found == [("GET", "fails", 500), ("GET", None, 404), ("OTHER", "page", 201)]


def test_health_checks_are_left_out(measured: list[Facts]) -> None:
    """Whatever begins as the setting says; nothing at all is left out without it."""
    get("/health/live/")
    get("/page")
    assert [facts["route"] for facts in measured] == ["page"]


def test_who_it_was(measured: list[Facts]) -> None:
    """The user that the view or a middleware knows, also one who has just logged in."""
    get("/shop/page/8")
    asyncio.run(AsyncClient().get("/shop/async/9"))
    get("/page")
    assert [facts["user_id"] for facts in measured] == ["8", "9", None]


def test_nobody_is_looked_up(measured: list[Facts]) -> None:
    """A user that nobody asked for stays unknown: measuring costs no query."""

    def look_up() -> User:
        raise AssertionError("a query")

    def answer(request: HttpRequest) -> HttpResponse:
        vars(request)["user"] = SimpleLazyObject(look_up)
        return HttpResponse()

    AnalyticsMiddleware(answer)(RequestFactory().get("/"))
    assert measured[0]["user_id"] is None


def test_a_receiver_that_fails(measured: list[Facts], caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and neither the response nor other receivers notice."""

    def fail(**kwargs: Any) -> None:
        raise ZeroDivisionError

    async def late(**kwargs: Any) -> None:
        """Be of the wrong kind."""

    request_measured.connect(fail)
    try:
        with caplog.at_level(logging.ERROR):
            assert get("/page").status_code == 201
            assert len(caplog.records) == 1
            request_measured.connect(late)
            assert asyncio.run(AsyncClient().get("/shop/async/1")).status_code == 201
    finally:
        request_measured.disconnect(fail)
        request_measured.disconnect(late)
    assert [bool(record.exc_info) for record in caplog.records] == [True] * 3
    assert len(measured) == 2


@pytest.mark.usefixtures("_without_database")
@pytest.mark.parametrize("to_the_end", [True, False])
def test_streams_are_measured_to_their_end(to_the_end: bool, measured: list[Facts]) -> None:
    """Once, when the server closes the response, whether or not the client has read it all."""
    response: Any = AnalyticsMiddleware(streamed)(RequestFactory().get("/"))
    parts = response.streaming_content
    assert next(parts) == b"a"
    assert measured == []
    if to_the_end:
        assert list(parts) == [b"b"]
    response.close()
    assert [facts["status"] for facts in measured] == [200]


@pytest.mark.usefixtures("_without_database")
@pytest.mark.parametrize("to_the_end", [True, False])
def test_streams_of_an_event_loop_are_too(to_the_end: bool, measured: list[Facts]) -> None:
    """The same under ASGI."""

    async def read() -> None:
        response: Any = await AsyncClient().get("/astreamed")
        parts = aiter(response)
        assert await anext(parts) == b"a"
        assert measured == []
        if to_the_end:
            assert [part async for part in parts] == [b"b"]
        response.close()

    asyncio.run(read())
    assert [facts["status"] for facts in measured] == [200]


@pytest.mark.usefixtures("_without_database")
@pytest.mark.parametrize("disconnects", [True, False])
def test_a_server_of_event_loops(disconnects: bool, measured: list[Facts]) -> None:
    """Django's own handler closes every stream, also one whose client has gone."""

    async def serve() -> None:
        path = "/endless" if disconnects else "/astreamed"
        server: Any = ApplicationCommunicator(ASGIHandler(), {**SCOPE, "path": path})
        await server.send_input({"type": "http.request", "body": b""})
        assert (await server.receive_output(PATIENCE))["status"] == 200
        assert (await server.receive_output(PATIENCE))["body"] == b"a"
        assert measured == []
        if disconnects:
            await server.send_input({"type": "http.disconnect"})
        await server.wait(PATIENCE)

    asyncio.run(serve())
    assert [facts["status"] for facts in measured] == [200]


def test_a_client_that_goes_away(measured: list[Facts]) -> None:
    """A request that is cancelled is measured as such, and stays cancelled."""

    async def run() -> None:
        begun = asyncio.Event()

        async def answer(request: HttpRequest) -> HttpResponseBase:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.create_task(AnalyticsMiddleware(answer)(RequestFactory().get("/")))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert [facts["status"] for facts in measured] == [499]
