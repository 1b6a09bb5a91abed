"""Each request has a context of its own, and a correlation id that is harmless."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path
from hypothesis import given
from hypothesis import strategies as st

from core.clients.headers import complete
from core.context import Context, current_context, event_context, set_context
from core.middleware.request_context import RequestContextMiddleware
from core.tracing import is_correlation_id, trace_in
from tests.unit.core.middleware.serving import SERVERS, aask, ask, open_connections, urls

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def seen(request: HttpRequest) -> HttpResponse:
    """Tell the correlation id of the context."""
    return HttpResponse(current_context().correlation_id)


async def aseen(request: HttpRequest) -> HttpResponse:
    """Tell the correlation id of the context, in an event loop, after others had their turn."""
    await asyncio.sleep(0)
    return HttpResponse(current_context().correlation_id)


def forwarded(request: HttpRequest) -> HttpResponse:
    """Tell the trace that a call to another service would have."""
    return HttpResponse(complete({}, "", None)["traceparent"])


def leaves_something(request: HttpRequest) -> HttpResponse:
    """Set a context and forget about it."""
    set_context(Context(actor_id="7", tenant_id="a", correlation_id="left"))
    return HttpResponse()


def fails(request: HttpRequest) -> HttpResponse:
    """Fail after it has set a context."""
    leaves_something(request)
    raise ZeroDivisionError


def closes(request: HttpRequest) -> HttpResponse:
    """Close a response that it does not return."""
    HttpResponse().close()
    return seen(request)


def _chunks() -> Iterator[str]:
    for _ in range(3):
        yield f"{current_context().correlation_id} "


async def _achunks() -> AsyncIterator[str]:
    for text in _chunks():
        await asyncio.sleep(0)
        yield text


def streams(request: HttpRequest) -> HttpResponseBase:
    """Tell the correlation id in chunks that are made after the view."""
    return StreamingHttpResponse(_chunks())


async def astreams(request: HttpRequest) -> HttpResponseBase:
    """Do as `streams` in an event loop."""
    return StreamingHttpResponse(_achunks())


@pytest.fixture(autouse=True)
def _system(settings: Any) -> None:
    settings.MIDDLEWARE = ["core.middleware.request_context.RequestContextMiddleware"]
    settings.ROOT_URLCONF = urls(
        path("seen", seen),
        path("aseen", aseen),
        path("forwarded", forwarded),
        path("leaves", leaves_something),
        path("fails", fails),
        path("closes", closes),
        path("streams", streams),
        path("astreams", astreams),
    )


@SERVERS
@pytest.mark.parametrize("view", ["/seen", "/aseen"])
def test_an_id_is_made(server: str, view: str) -> None:
    """The view sees the id that the response tells, another one for each request."""
    first, second = ask(server, view), ask(server, view)
    assert first.body.decode() == first.headers["x-correlation-id"]
    assert first.body != second.body
    assert is_correlation_id(first.body.decode())


@SERVERS
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Correlation-ID": "abc-1"}, "abc-1"),
        ({"X-Request-ID": "abc.2"}, "abc.2"),
        ({"X-Correlation-ID": "abc", "X-Request-ID": "def"}, "abc"),
        ({"X-Correlation-ID": "not good", "X-Request-ID": "def"}, "def"),
        ({"X-Correlation-ID": "x" * 128}, "x" * 128),
        ({"traceparent": PARENT}, TRACE),
        ({"traceparent": PARENT, "X-Correlation-ID": "abc"}, "abc"),
    ],
)
def test_an_id_is_taken_over(server: str, headers: dict[str, str], expected: str) -> None:
    """From X-Correlation-ID, else X-Request-ID, else the trace."""
    answer = ask(server, "/seen", headers)
    assert (answer.body.decode(), answer.headers["x-correlation-id"]) == (expected, expected)


@SERVERS
@pytest.mark.parametrize("value", ["a b", "x" * 129, "a,b", "a\x00b", "é", "<script>", "a\n"])
def test_what_is_malformed_is_replaced(server: str, value: str) -> None:
    """Nothing of it is reflected."""
    told = ask(server, "/seen", {"X-Correlation-ID": value}).headers["x-correlation-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", told)


@SERVERS
def test_a_trace_is_continued(server: str) -> None:
    """Calls to other services are in the trace that the request came in, as spans of their own."""
    for sampled in ("00", "01"):
        headers = {"traceparent": PARENT[:-2] + sampled, "X-Correlation-ID": "abc"}
        version, trace, span, flags = ask(server, "/forwarded", headers).body.decode().split("-")
        assert (version, trace, flags) == ("00", TRACE, sampled)
        assert span != "00f067aa0ba902b7"


@SERVERS
@pytest.mark.parametrize("view", ["/leaves", "/fails"])
def test_nothing_is_left(server: str, view: str) -> None:
    """Whatever a view sets, and however it ends, the thread's context is what it was before."""
    with event_context(actor=1, correlation_id="before") as before:
        assert ask(server, view).status in (200, 500)
        assert current_context() == before


@SERVERS
def test_a_view_may_close_a_response(server: str) -> None:
    """One that is not returned, as of another view, ends nothing: the context stays."""
    with event_context(actor=1, correlation_id="before") as before:
        answer = ask(server, "/closes", {"X-Correlation-ID": "abc"})
        assert answer.body == b"abc"
        assert current_context() == before


def test_nothing_comes_from_outside() -> None:
    """A request begins with nobody, in no tenant, though its thread has served others."""
    set_context(Context(actor_id="7", tenant_id="a", roles=("admin",)))
    found: list[Context] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(current_context())
        return HttpResponse()

    try:
        RequestContextMiddleware(view)(RequestFactory().get("/"))
    finally:
        set_context(Context())
    assert found == [Context(correlation_id=found[0].correlation_id)]


@pytest.mark.parametrize(("server", "view"), [("wsgi", "/streams"), ("asgi", "/astreams")])
def test_a_stream_keeps_its_context(server: str, view: str) -> None:
    """Chunks that are made after the view has returned know the request; the thread forgets it."""
    answer = ask(server, view, {"X-Correlation-ID": "abc"})
    assert answer.body == b"abc abc abc "
    assert current_context() == Context()


def test_between_two_chunks_the_thread_is_free() -> None:
    """A server may do other things before it asks for the next chunk."""
    middleware = RequestContextMiddleware(streams)
    response = middleware(RequestFactory().get("/", headers={"X-Correlation-ID": "abc"}))
    for chunk in response:
        assert (chunk, current_context()) == (b"abc ", Context())


def test_a_stream_that_is_given_up() -> None:
    """Closing the response closes the generator, which leaves nothing behind."""
    closed: list[bool] = []

    def chunks() -> Iterator[str]:
        try:
            yield from _chunks()
        finally:
            closed.append(True)

    middleware = RequestContextMiddleware(lambda request: StreamingHttpResponse(chunks()))
    response = middleware(RequestFactory().get("/"))
    next(iter(response))
    with open_connections():
        response.close()
    assert closed == [True]
    assert current_context() == Context()


def test_a_file_is_left_to_the_server(tmp_path: Any) -> None:
    """It needs no context, and the server may send it in its own way."""
    (tmp_path / "file").write_text("text")
    file = (tmp_path / "file").open("rb")
    response = RequestContextMiddleware(lambda request: FileResponse(file))(
        RequestFactory().get("/")
    )
    assert response.file_to_stream is file
    with open_connections():
        response.close()


def test_threads_are_apart() -> None:
    """Requests that run at the same time see their own ids, also in threads that are used again."""
    together = threading.Barrier(4)

    def view(request: HttpRequest) -> HttpResponse:
        together.wait(10)
        return seen(request)

    middleware = RequestContextMiddleware(view)
    wrong: list[str] = []

    def serve(name: str) -> None:
        for number in range(20):
            wanted = f"{name}-{number}"
            response = middleware(RequestFactory().get("/", headers={"X-Request-ID": wanted}))
            if response.content.decode() != wanted or current_context() != Context():
                wrong.append(wanted)

    threads = [threading.Thread(target=serve, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not wrong


def test_tasks_are_apart() -> None:
    """The same for requests in one event loop."""
    names = [f"r-{number}" for number in range(50)]

    async def all_at_once() -> list[Any]:
        host = {"host": "testserver"}
        asked = [aask("GET", "/aseen", host | {"x-correlation-id": name}) for name in names]
        return await asyncio.gather(*asked)

    assert [answer.body.decode() for answer in asyncio.run(all_at_once())] == names


HEADER = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=300),
    st.from_regex(r"[A-Za-z0-9._-]{1,140}", fullmatch=True),
    st.lists(st.text("ab-\r\n\x00 ,;", max_size=20), max_size=3).map(",".join),
)


@given(correlation=HEADER, request_id=HEADER, trace=HEADER)
def test_no_header_is_reflected_unless_harmless(
    correlation: str, request_id: str, trace: str
) -> None:
    """Whatever is sent, one harmless id of at most 128 characters is told."""
    headers = {"X-Correlation-ID": correlation, "X-Request-ID": request_id, "traceparent": trace}
    request = RequestFactory().get("/", headers=headers)
    response = RequestContextMiddleware(seen)(request)
    told = response.headers["X-Correlation-ID"]
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", told)
    assert told == response.content.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PARENT, f"{TRACE}-01"),
        (PARENT[:-2] + "00", f"{TRACE}-00"),
        (PARENT[:-2] + "ff", f"{TRACE}-01"),
        (PARENT.replace("00-", "01-", 1) + "-more", f"{TRACE}-01"),
        (PARENT + "-more", None),
        (PARENT.replace("00-", "ff-", 1), None),
        (PARENT.upper(), None),
        (PARENT + "\n", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        ("", None),
        ("01" + PARENT[2:] + "-" + "x" * 300, None),
    ],
)
def test_a_trace_is_well_formed(text: str, expected: str | None) -> None:
    """By the W3C's rules: lower case, no zeros, version 00 with nothing after the flags."""
    assert trace_in(text) == expected


def test_clients_of_tests_leave_the_context_alone(settings: Any) -> None:
    """What a test has set is there again after a request, in an event loop too."""
    settings.ROOT_URLCONF = urls(path("plain", lambda request: HttpResponse("ok")))

    async def asked() -> Context:
        await AsyncClient().get("/plain")
        return current_context()

    with event_context(actor="outside") as outside:
        Client().get("/plain")
        assert current_context() == outside
        assert asyncio.run(asked()) == outside
