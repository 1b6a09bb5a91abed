"""Each request is one line in the log; its body only when asked for, and without secrets."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from core.decorators import log_request
from core.exceptions import NotFoundError

factory = RequestFactory()


class Member:
    """A user who is logged in."""

    is_authenticated = True
    pk = 42


@log_request(include_body=False)
def silent(request: HttpRequest) -> HttpResponse:
    """Answer without having the body logged."""
    return HttpResponse(status=202)


@log_request(include_body=True)
def telling(request: HttpRequest) -> HttpResponse:
    """Answer with the body, which is logged."""
    return HttpResponse(request.body)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, settings: Any) -> Any:
    """What has been logged: a list of lines, since no worker writes them elsewhere."""
    settings.REQUEST_LOG_SINKS = ()
    caplog.set_level(logging.INFO, logger="signalbox.requests")
    return caplog


def facts(lines: Any) -> dict[str, Any]:
    (record,) = lines.records
    found: dict[str, Any] = record.fields
    return found


def test_one_line_without_the_body(lines: Any) -> None:
    """A request makes one record: method, path, status, time and user; no body, no query."""
    request = factory.post("/orders?token=abc", {"card": "4111"}, "application/json")
    request.user = Member()  # type: ignore[assignment]  # all that is asked of a user
    assert silent(request).status_code == 202
    known = facts(lines)
    assert known.pop("duration_ms") >= 0
    assert known == {"method": "POST", "path": "/orders", "status": 202, "user_id": "42"}
    assert lines.messages == ["POST /orders: 202"]
    assert "4111" not in lines.text
    assert "abc" not in lines.text


def test_the_body_when_asked_for(lines: Any) -> None:
    """The body is logged with its secrets redacted at any depth, and the view can still read it."""
    body = {"name": "Ada", "password": "x1", "cards": [{"cvv": "x2", "apiKey": {"a": "x3"}}]}
    response = telling(factory.post("/", body, "application/json"))
    assert json.loads(response.content) == body
    assert json.loads(facts(lines)["body"]) == {
        "name": "Ada",
        "password": "[redacted]",
        "cards": [{"cvv": "[redacted]", "apiKey": "[redacted]"}],
    }
    assert not any(secret in lines.text for secret in ("x1", "x2", "x3"))


def test_a_form(lines: Any) -> None:
    """A form is shown by its fields, with secrets redacted."""
    kind = "application/x-www-form-urlencoded"
    telling(factory.post("/", "name=Ada&name=Bob&token=x1", kind))
    assert json.loads(facts(lines)["body"]) == {"name": ["Ada", "Bob"], "token": "[redacted]"}


@pytest.mark.parametrize(
    ("body", "kind", "shown"),
    [
        (b"\x00\x01", "application/octet-stream", "<application/octet-stream, 2 bytes>"),
        (b"{broken", "application/json", "<application/json, 7 bytes>"),
        (b"\xff", "application/json", "<application/json, 1 bytes>"),
        (b"[" * 5000, "application/json", "<application/json, 5000 bytes>"),
        (b'"' + b"a" * 70_000 + b'"', "application/json", "<application/json, 70002 bytes>"),
        (b"&" * 5000 + b"a=1&" * 2000, "application/x-www-form-urlencoded", None),
        (b"", "", "<no type, unknown bytes>"),
    ],
)
def test_bodies_that_cannot_be_shown(lines: Any, body: bytes, kind: str, shown: str | None) -> None:
    """Of what is no readable text, or too long, only the type and the size are logged."""
    telling(factory.generic("POST", "/", body, kind))
    assert facts(lines)["body"] == (shown or f"<{kind}, {len(body)} bytes>")


def test_a_long_body_is_cut(lines: Any) -> None:
    """A line stays readable."""
    telling(factory.post("/", {"text": "a" * 60_000}, "application/json"))
    assert len(facts(lines)["body"]) == 2001


@pytest.mark.parametrize("length", ["", "-1", "٣", "9" * 5000, "many"])
def test_a_length_that_is_none(lines: Any, length: str) -> None:
    """A body of unknown length is not read."""
    request = factory.post("/", {"a": 1}, "application/json")
    request.META["CONTENT_LENGTH"] = length
    log_request(include_body=True)(lambda request: HttpResponse())(request)
    assert facts(lines)["body"] == "<application/json, unknown bytes>"


def test_no_path_begins_a_line_of_its_own(lines: Any) -> None:
    """A line break in a path or a body is written as an escape."""
    request = factory.post("/", {"a": "b\nERROR forged"}, "application/json")
    request.path = "/a\nERROR forged"
    telling(request)
    assert "\n" not in lines.messages[0]
    assert facts(lines)["path"] == "/a%0AERROR%20forged"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("gone"), 404),
        (Http404("gone"), 404),
        (PermissionDenied("no"), 403),
        (ValueError("broken"), 500),
    ],
)
def test_a_failing_view_is_logged_with_its_status(
    lines: Any, error: Exception, status: int
) -> None:
    """The exception goes on unchanged; the line has the status it stands for."""

    @log_request()
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    with pytest.raises(type(error)) as caught:
        view(factory.get("/"))
    assert caught.value is error
    assert facts(lines)["status"] == status


def test_a_user_who_cannot_be_looked_up(lines: Any) -> None:
    """A database that is down keeps no view from working that does without it."""

    class UnknownUser:
        @property
        def is_authenticated(self) -> bool:
            raise OperationalError("down")

    request: Any = factory.get("/")
    request.user = UnknownUser()
    assert silent(request).status_code == 202
    assert facts(lines)["user_id"] == "unknown"


def test_the_request_is_marked(lines: Any) -> None:
    """Whoever logs requests as well can tell that this one is logged."""
    request: Any = factory.get("/")
    silent(request)
    assert request.is_logged


class Framework(APIView):
    """A view of the REST framework that reads its data."""

    parser_classes = (JSONParser,)

    @log_request(include_body=True)
    def post(self, request: Any) -> Response:
        return Response(request.data, status=201)


def test_views_of_the_rest_framework(lines: Any) -> None:
    """The framework can still parse the body that has been logged."""
    request: Any = APIRequestFactory().post("/", {"pin": 1, "a": 2}, format="json")
    assert Framework.as_view()(request).data == {"pin": 1, "a": 2}
    assert facts(lines)["status"] == 201
    assert json.loads(facts(lines)["body"]) == {"pin": "[redacted]", "a": 2}
    assert request.is_logged


def test_a_body_that_was_read_before(lines: Any) -> None:
    """A stream that is gone is no reason to fail."""
    request = factory.post("/", {"a": 1}, "application/json")
    request.read()
    log_request(include_body=True)(lambda request: HttpResponse())(request)
    assert facts(lines)["body"] == "<application/json, 8 bytes>"


def test_an_async_view(lines: Any) -> None:
    """An async view stays async, and its failure is logged as well."""

    @log_request()
    async def view(request: Any) -> HttpResponse:
        """Fail when asked to."""
        if request.GET:
            raise NotFoundError
        return HttpResponse()

    async def auser() -> Member:
        return Member()

    async def visit(path: str) -> None:
        request: Any = AsyncRequestFactory().get(path)
        request.auser = auser
        await view(request)

    asyncio.run(visit("/"))
    with pytest.raises(NotFoundError):
        asyncio.run(visit("/?fail=1"))
    statuses = [record.fields["status"] for record in lines.records]
    assert (statuses, view.__doc__) == ([200, 404], "Fail when asked to.")
    assert {record.fields["user_id"] for record in lines.records} == {"42"}


def test_it_is_for_views_and_needs_parentheses() -> None:
    """Decorating another function, or leaving out the parentheses, is noticed."""
    with pytest.raises(TypeError, match="for views"):
        log_request()(lambda: None)()
    with pytest.raises(TypeError, match="include_body"):
        log_request(lambda request: None)  # type: ignore[arg-type]  # the mistake in question
