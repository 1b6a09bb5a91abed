"""Errors of views become one response body, and pages stay pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.exceptions import ValidationError as FormError
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from core.decorators import rate_limit
from core.exceptions import AlreadyExistsError, NotFoundError, RateLimitError
from core.middleware import exception_handler

ERRORS: dict[str, Callable[[], Exception]] = {
    "missing": lambda: NotFoundError(
        "Event not found", code="EVENT_NOT_FOUND", details={"event_id": 123}
    ),
    "taken": lambda: AlreadyExistsError("Email already exists"),
    "limited": lambda: RateLimitError("Slow down", retry_after=7),
    "form": lambda: FormError({"email": ["Enter an e-mail address."]}),
    "gone": lambda: Http404("There is no such ticket"),
    "denied": lambda: PermissionDenied("Staff only"),
    "odd": lambda: SuspiciousOperation("host"),
    "database": lambda: OperationalError("could not connect to server 10.0.0.7"),
    "unknown": lambda: ZeroDivisionError("secret internals"),
}
FORMS = {"html": "text/html,*/*;q=0.8", "json": "application/json", "any": "*/*"}


def fails(request: HttpRequest, kind: str) -> HttpResponse:
    """Raise the error of that name."""
    raise ERRORS[kind]()


async def fails_async(request: HttpRequest, kind: str) -> HttpResponse:
    """Raise the error of that name in an event loop."""
    raise ERRORS[kind]()


@rate_limit(max_calls=1, time_window=60)
def limited(request: HttpRequest) -> HttpResponse:
    """Answer once a minute."""
    return HttpResponse("ok")


urls = ModuleType("middleware_test_urls")
vars(urls).update(
    urlpatterns=[
        path("api/once-a-minute", limited),
        path("api/<kind>", fails),
        path("api/async/<kind>", fails_async),
        path("page/<kind>", fails),
    ],
    handler400=exception_handler.bad_request,
    handler403=exception_handler.permission_denied,
    handler404=exception_handler.page_not_found,
    handler500=exception_handler.server_error,
)


@pytest.fixture(autouse=True)
def _system(settings: Any) -> None:
    settings.ROOT_URLCONF = urls
    settings.DEBUG = False


@pytest.fixture
def trouble() -> Iterator[list[Any]]:
    """What error trackers hear."""
    heard: list[Any] = []

    def hear(**kwargs: Any) -> None:
        heard.append(kwargs["request"])

    got_request_exception.connect(hear)
    yield heard
    got_request_exception.disconnect(hear)


def get(address: str, accept: str = "any", **options: Any) -> Any:
    """Ask as a browser or a program would, and get an answer instead of the error."""
    client = Client(raise_request_exception=False, **options)
    return client.get(address, headers={"accept": FORMS[accept]})


def test_the_four_keys() -> None:
    """An error says what happened, to people and to programs, with its status."""
    response = get("/api/missing")
    assert (response.status_code, response["Content-Type"]) == (404, "application/json")
    assert response.json() == {
        "success": False,
        "error": "Event not found",
        "error_code": "EVENT_NOT_FOUND",
        "details": {"event_id": 123},
    }


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("missing", 404, "EVENT_NOT_FOUND"),
        ("taken", 409, "ALREADY_EXISTS"),
        ("limited", 429, "RATE_LIMIT_EXCEEDED"),
        ("form", 400, "VALIDATION_ERROR"),
        ("gone", 404, "NOT_FOUND"),
        ("denied", 403, "PERMISSION_DENIED"),
        ("odd", 400, "VALIDATION_ERROR"),
        ("database", 503, "DATABASE_ERROR"),
        ("unknown", 500, "INTERNAL_ERROR"),
    ],
)
@pytest.mark.parametrize("where", ["/api/{}", "/api/async/{}"])
def test_below_the_api_every_error_is_json(where: str, kind: str, status: int, code: str) -> None:
    """Those of core, of Django, of the database and unknown ones; sync and async views."""
    response = get(where.format(kind))
    assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert b"secret" not in response.content
    assert b"10.0.0.7" not in response.content


@pytest.mark.parametrize("kind", ["missing", "taken", "limited"])
def test_errors_of_core_are_json_everywhere(kind: str) -> None:
    """Also for a browser."""
    assert get(f"/page/{kind}", "html").json()["success"] is False


@pytest.mark.parametrize(("kind", "status"), [("gone", 404), ("denied", 403), ("unknown", 500)])
def test_pages_stay_pages(kind: str, status: int) -> None:
    """Django's own errors keep its pages for browsers, and become JSON for who prefers that."""
    page, body = get(f"/page/{kind}", "html"), get(f"/page/{kind}", "json")
    assert (page.status_code, body.status_code) == (status, status)
    assert page["Content-Type"].startswith("text/html")
    assert body.json()["success"] is False


def test_addresses_that_lead_nowhere() -> None:
    """Those below the API are answered as JSON, though no view was reached."""
    assert get("/api/a/b/c").json()["error_code"] == "NOT_FOUND"
    assert get("/nowhere", "html")["Content-Type"].startswith("text/html")


def test_a_change_from_elsewhere(settings: Any) -> None:
    """A refused CSRF token is told as JSON to programs."""
    settings.CSRF_FAILURE_VIEW = "core.middleware.exception_handler.csrf_failure"
    client = Client(enforce_csrf_checks=True)
    assert client.post("/api/missing").json()["error_code"] == "CSRF_FAILED"
    page = client.post("/page/missing", headers={"accept": FORMS["html"]})
    assert (page.status_code, page["Content-Type"][:9]) == (403, "text/html")


def test_when_to_come_again() -> None:
    """A refused call says so in the headers, also from the decorator."""
    assert get("/api/once-a-minute")["RateLimit"]
    response = get("/api/once-a-minute")
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 60


def test_server_errors_are_logged_once_and_told_to_trackers(
    caplog: pytest.LogCaptureFixture, trouble: list[Any]
) -> None:
    """With their traceback; what a caller did wrong is not an error of ours."""
    with caplog.at_level(logging.ERROR):
        get("/api/unknown")
        get("/api/missing")
    (record,) = [each for each in caplog.records if each.exc_info]
    assert "ZeroDivisionError" in record.getMessage()
    assert [each.path for each in trouble] == ["/api/unknown"]


def test_a_tracker_that_fails() -> None:
    """Changes nothing about the response."""

    def fail(**kwargs: Any) -> None:
        raise RuntimeError("tracker")

    got_request_exception.connect(fail)
    try:
        assert get("/api/unknown").json()["error_code"] == "INTERNAL_ERROR"
    finally:
        got_request_exception.disconnect(fail)


@pytest.mark.parametrize("kind", [*ERRORS])
@pytest.mark.parametrize("where", ["/api/{}", "/api/async/{}"])
def test_each_error_is_one_line(where: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """It says which request it was; ours has a traceback, what a caller did wrong has none."""
    address = where.format(kind)
    with caplog.at_level(logging.INFO):
        status = get(address).status_code
    requests = "signalbox.requests"  # the log of requests has a line of its own
    (record,) = [each for each in caplog.records if each.name != requests]
    facts = vars(record)
    assert (facts["method"], facts["path"], facts["status"]) == ("GET", address, status)
    assert bool(record.exc_info) == (status >= 500)
    level = {"odd": logging.WARNING}.get(kind, logging.ERROR if status >= 500 else logging.INFO)
    assert record.levelno == level
    if kind == "odd":
        assert record.name == "django.security.SuspiciousOperation"


def test_an_event_loop_is_served() -> None:
    """The same under ASGI."""
    client = AsyncClient(raise_request_exception=False)
    response = asyncio.run(client.get("/api/async/missing"))
    assert (response.status_code, response.json()["error_code"]) == (404, "EVENT_NOT_FOUND")
