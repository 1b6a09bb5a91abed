"""One record for each request, complete and true, and never at the cost of the response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from tempfile import TemporaryFile
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncRequestFactory, RequestFactory
from django.urls import path
from django.utils.functional import SimpleLazyObject

from core.context import changed, current_context, event_context, set_context
from core.decorators import log_request
from core.middleware import request_logging
from core.middleware.request_logging import RequestLoggingMiddleware
from tests.unit.core.middleware.serving import SERVERS, ask, urls

HANDLED = "core.utils.logger.hand_over"
pytestmark = pytest.mark.django_db

CHAIN = [
    "core.middleware.request_context.RequestContextMiddleware",
    "core.middleware.request_logging.RequestLoggingMiddleware",
]


def plain(request: HttpRequest, number: int) -> HttpResponse:
    """Answer with five bytes, as somebody in a tenant."""
    set_context(changed(current_context(), actor_id="7", tenant_id="acme"))
    return HttpResponse("hello", status=201)


async def later(request: HttpRequest) -> HttpResponse:
    """Answer with five bytes, in an event loop."""
    await asyncio.sleep(0)
    set_context(changed(current_context(), actor_id="7", tenant_id="acme"))
    return HttpResponse("hello", status=201)


def fails(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise ZeroDivisionError


@log_request()
def logged_already(request: HttpRequest) -> HttpResponse:
    """Answer, and be logged by the decorator."""
    return HttpResponse()


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer bit by bit."""
    return StreamingHttpResponse(iter(["hel", "lo"]))


async def _bits() -> AsyncIterator[str]:
    for bit in ("hel", "lo"):
        await asyncio.sleep(0.02)
        yield bit


async def stream_later(request: HttpRequest) -> StreamingHttpResponse:
    """Answer bit by bit, in an event loop."""
    return StreamingHttpResponse(_bits())


def file(request: HttpRequest) -> FileResponse:
    """Answer with a file of five bytes."""
    found = TemporaryFile()  # noqa: SIM115  # the response closes it
    found.write(b"hello")
    found.seek(0)
    return FileResponse(found)


async def _endless() -> AsyncIterator[str]:
    while True:
        await asyncio.sleep(0.005)
        yield "more"


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    """Answer without end."""
    return StreamingHttpResponse(_endless())


async def stuck(request: HttpRequest) -> HttpResponse:
    """Wait for ever."""
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.MIDDLEWARE = CHAIN
    settings.ROOT_URLCONF = urls(
        path("plain/<int:number>", plain, name="plain"),
        path("later", later),
        path("fails", fails),
        path("logged", logged_already),
        path("stream", stream),
        path("stream-later", stream_later),
        path("file", file),
        path("endless", endless),
        path("stuck", stuck),
        path("health/live", plain, {"number": 1}),
    )
    settings.REQUEST_LOG_EXCLUDED_PATHS = ["/health/"]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The records that were handed over."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(HANDLED, lambda record: found.append(record) or True)
    return found


@SERVERS
@pytest.mark.parametrize("address", ["/plain/5", "/later"])
def test_a_record_tells_what_was_asked_and_what_came_of_it(
    server: str, address: str, records: list[dict[str, Any]]
) -> None:
    """Method, path, status, duration, size, route, and who it was for whom, under which id."""
    answer = ask(server, f"{address}", {"x-correlation-id": "abc-1"}, method="POST")
    assert (answer.status, answer.body) == (201, b"hello")
    (record,) = records
    wanted = {"method": "POST", "path": address, "status": 201, "bytes": 5}
    assert wanted.items() <= record.items()
    assert (record["user_id"], record["tenant_id"]) == ("7", "acme")
    assert record["correlation_id"] == "abc-1"
    assert record["route"] == {"/plain/5": "plain/<int:number>", "/later": "later"}[address]
    assert 0 <= record["duration_ms"] < 5000
    assert "client" not in record


@SERVERS
@pytest.mark.parametrize("address", ["/stream", "/stream-later"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_a_stream_is_logged_at_its_end(
    server: str, address: str, records: list[dict[str, Any]]
) -> None:
    """Once, with the bytes that were sent and the time that it took, under its correlation id."""
    answer = ask(server, address, {"x-correlation-id": "abc-2"})
    assert answer.body == b"hello"
    (record,) = records
    assert (record["bytes"], record["status"]) == (5, 200)
    assert record["correlation_id"] == "abc-2"
    assert "complete" not in record
    assert address == "/stream" or record["duration_ms"] >= 40


def test_a_stream_that_nobody_reads_to_its_end_is_logged_when_it_is_closed(
    records: list[dict[str, Any]],
) -> None:
    """The client went: the record says that the response is not complete."""
    middleware = RequestLoggingMiddleware(stream)
    response = middleware(RequestFactory().get("/stream"))
    assert not records
    assert next(iter(response)) == b"hel"
    response.close()
    (record,) = records
    assert (record["complete"], record["bytes"]) == (False, 3)


def test_a_stream_that_fails_is_logged_as_incomplete(records: list[dict[str, Any]]) -> None:
    """The error is the server's to deal with."""

    def bits() -> Iterator[str]:
        yield "hel"
        raise ZeroDivisionError

    middleware = RequestLoggingMiddleware(lambda request: StreamingHttpResponse(bits()))
    response = middleware(RequestFactory().get("/"))
    with pytest.raises(ZeroDivisionError):
        list(response)
    response.close()
    assert [record["complete"] for record in records] == [False]


def test_a_file_is_left_to_the_server(records: list[dict[str, Any]]) -> None:
    """It can still send the file itself; the record comes when it has."""
    response = RequestLoggingMiddleware(file)(RequestFactory().get("/file"))
    assert response.file_to_stream is not None
    assert not records
    response.close()
    (record,) = records
    assert record["bytes"] == 5
    assert "complete" not in record


@pytest.mark.parametrize("address", ["/endless", "/stuck"])
def test_a_client_that_goes_leaves_a_record(address: str, records: list[dict[str, Any]]) -> None:
    """Under ASGI, in the middle of a stream as well as before there is any response."""

    async def go() -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": address,
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
        }
        communicator = ApplicationCommunicator(ASGIHandler(), scope)
        await communicator.send_input({"type": "http.request", "body": b"", "more_body": False})
        if address == "/endless":
            for _ in range(3):
                await communicator.receive_output(5)
        else:
            await asyncio.sleep(0.05)
        await communicator.send_input({"type": "http.disconnect"})
        await communicator.wait(5)

    async_to_sync(go)()
    (record,) = records
    assert record["complete"] is False
    assert record["status"] == (200 if address == "/endless" else None)


@SERVERS
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_is_logged_with_its_status(server: str, records: list[dict[str, Any]]) -> None:
    """Django has made a response of it by then."""
    assert ask(server, "/fails").status == 500
    assert [record["status"] for record in records] == [500]
    assert ask(server, "/nowhere").status == 404
    assert [(r["status"], r["route"]) for r in records[1:]] == [(404, None)]


def test_what_gets_no_response_is_logged_and_goes_on(records: list[dict[str, Any]]) -> None:
    """As a process that ends in the middle of a request."""

    def ends(request: HttpRequest) -> HttpResponse:
        raise SystemExit

    with pytest.raises(SystemExit):
        RequestLoggingMiddleware(ends)(RequestFactory().get("/"))
    assert [(r["status"], r["complete"]) for r in records] == [(None, False)]


@SERVERS
def test_neither_query_nor_strange_paths_reach_the_record(
    server: str, records: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """The query may hold tokens; line breaks and quotes are escaped, and length is limited."""
    caplog.set_level(logging.CRITICAL, "django.request")
    ask(server, "/nowhere\r\n\x1b x\"'")
    ask(server, "/" + "x" * 10_000)
    assert "\n" not in records[0]["path"]
    assert records[0]["path"].startswith("/nowhere%0D%0A%1B%20x")
    assert len(records[1]["path"]) == 2000
    RequestLoggingMiddleware(lambda request: HttpResponse())(RequestFactory().get("/a?token=b"))
    assert records[2]["path"] == "/a"
    assert "token" not in str(records[2])


@SERVERS
@pytest.mark.parametrize("address", ["/health/live", "/logged"])
def test_some_requests_are_left_out(
    server: str, address: str, records: list[dict[str, Any]]
) -> None:
    """Health checks, and what the decorator has logged: that one once."""
    assert ask(server, address).status in (200, 201)
    assert [record["path"] for record in records] == ([] if "health" in address else [address])


@SERVERS
def test_a_failure_to_log_changes_nothing(
    server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The response is the same, and the failure is logged once, however often it happens."""

    def broken(record: dict[str, Any]) -> bool:
        raise OSError("no space")

    monkeypatch.setattr(HANDLED, broken)
    monkeypatch.setattr(request_logging, "_complain", request_logging._Complaints())
    stream = "/stream" if server == "wsgi" else "/stream-later"
    for address in ("/plain/1", "/later", stream, "/plain/2"):
        assert ask(server, address).body == b"hello"
    complaints = [r for r in caplog.records if r.name == "core.middleware.request_logging"]
    assert len(complaints) == 1
    assert request_logging._complain.number == 4


def test_the_user_is_logged_only_if_known(
    records: list[dict[str, Any]], django_assert_num_queries: Any
) -> None:
    """A user that nobody has looked up stays unknown: the log asks the database nothing."""
    user = get_user_model().objects.create_user("ann")

    def view(request: Any) -> HttpResponse:
        return HttpResponse()

    def request_of(user: Any) -> Any:
        request = RequestFactory().get("/")
        request.user = user
        return request

    lazy = SimpleLazyObject(lambda: get_user_model().objects.get(pk=user.pk))
    looked_up = SimpleLazyObject(lambda: user)
    assert looked_up.is_authenticated
    middleware = RequestLoggingMiddleware(view)
    with django_assert_num_queries(0):
        for known in (user, lazy, looked_up, AnonymousUser()):
            middleware(request_of(known))
        with event_context(actor="9"):
            middleware(request_of(lazy))
    pk = str(user.pk)
    assert [record["user_id"] for record in records] == [pk, None, pk, None, "9"]


def test_a_client_address_is_kept_only_if_wanted(
    records: list[dict[str, Any]], settings: Any
) -> None:
    """It is personal data."""
    settings.REQUEST_LOG_CLIENT_ADDRESS = True
    middleware = RequestLoggingMiddleware(lambda request: HttpResponse())
    middleware(RequestFactory().get("/", REMOTE_ADDR="192.0.2.7"))
    assert records[0]["client"] == "192.0.2.7"


def test_without_sinks_the_line_is_written_here(caplog: pytest.LogCaptureFixture) -> None:
    """The test settings have none, so the request is a line of the log."""
    caplog.set_level(logging.INFO)
    ask("wsgi", "/plain/1")
    (line,) = [r for r in caplog.records if r.name == "signalbox.requests"]
    assert line.getMessage() == "GET /plain/1: 201"


def test_an_event_loop_runs_it_without_a_thread() -> None:
    """Waiting for a thread would cost more than all of it."""

    async def view(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse()

    middleware = RequestLoggingMiddleware(view)
    coroutine = middleware(AsyncRequestFactory().get("/"))
    with pytest.raises(StopIteration):
        # Nothing in it waits, so it ends at the first step, outside of any loop.
        coroutine.send(None)
