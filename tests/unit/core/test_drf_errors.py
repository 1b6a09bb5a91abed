"""Under REST framework errors look as everywhere else."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django import db
from django.core import exceptions as django_errors
from django.core.signals import got_request_exception
from django.http import Http404
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from config.settings.environment import BASE_DIR
from core.drf_errors import exception_handler
from core.exceptions import NotFoundError, RateLimitError


class Unavailable(drf.APIException):
    """An error that an app added."""

    status_code = 503
    default_detail = "Closed for tonight."
    default_code = "closed"


def answer(error: Exception) -> Response:
    """Let a view raise `error` and return the response."""

    class View(APIView):
        authentication_classes = ()
        permission_classes = ()

        def get(self, request: Any) -> Response:
            raise error

        def get_exception_handler(self) -> Any:
            return exception_handler

    return View.as_view()(APIRequestFactory().get("/"))


@pytest.mark.parametrize(
    ("error", "status", "code", "text"),
    [
        (NotFoundError("No seat", code="NO_SEAT"), 404, "NO_SEAT", "No seat"),
        (Http404(), 404, "NOT_FOUND", "There is no such resource."),
        (
            django_errors.PermissionDenied(),
            *(403, "PERMISSION_DENIED", "You are not allowed to do this."),
        ),
        (drf.NotFound("No seat"), 404, "NOT_FOUND", "No seat"),
        (drf.ParseError("Bad JSON"), 400, "VALIDATION_ERROR", "Bad JSON"),
        (drf.PermissionDenied("Hosts", code="not_host"), 403, "NOT_HOST", "Hosts"),
        # Without a way to authenticate REST framework answers 403.
        (drf.NotAuthenticated("Who?"), 403, "PERMISSION_DENIED", "Who?"),
        (
            drf.MethodNotAllowed("PUT"),
            *(405, "METHOD_NOT_ALLOWED", 'Method "PUT" not allowed.'),
        ),
        (
            drf.UnsupportedMediaType("text/x"),
            *(415, "UNSUPPORTED_MEDIA_TYPE", 'Unsupported media type "text/x" in request.'),
        ),
        (Unavailable(), 503, "CLOSED", "Closed for tonight."),
        (
            db.OperationalError("hunter2"),
            *(503, "DATABASE_ERROR", "The database is not available; please try again."),
        ),
        (ValueError("hunter2"), 500, "INTERNAL_ERROR", "Something went wrong on our side."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_same_body(error: Exception, status: int, code: str, text: str) -> None:
    """Errors of REST framework, of Django and of this system have one shape."""
    response = answer(error)
    assert response.status_code == status
    assert response.data == {"success": False, "error": text, "error_code": code, "details": {}}


@pytest.mark.parametrize(
    ("detail", "details"),
    [
        ({"seats": ["Too many."]}, {"seats": ["Too many."]}),
        ({"lines": [{}, {"seat": ["Taken."]}]}, {"lines": [{}, {"seat": ["Taken."]}]}),
        (["Sold out."], {"non_field_errors": ["Sold out."]}),
        ("Sold out.", {"non_field_errors": ["Sold out."]}),
    ],
)
def test_invalid_fields_are_named(detail: Any, details: dict[str, Any]) -> None:
    """What a serializer found stands in the details, and is plain JSON."""
    response = answer(drf.ValidationError(detail))
    assert response.data["error"] == "The input is not valid."
    assert response.data["error_code"] == "VALIDATION_ERROR"
    assert json.loads(json.dumps(response.data["details"])) == details


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(drf.Throttled(wait=7.2), "8"), (drf.Throttled(), "1"), (RateLimitError(retry_after=3), "3")],
    ids=["throttled", "throttled without a time", "rate limit"],
)
def test_when_to_come_back(error: Exception, seconds: str) -> None:
    """Every 429 says when to come back."""
    response = answer(error)
    assert (response.status_code, response["Retry-After"]) == (429, seconds)
    assert response.data["error_code"] == "RATE_LIMIT_EXCEEDED"


def test_how_to_authenticate() -> None:
    """A 401 names the scheme that the view takes."""

    class Refused(drf.AuthenticationFailed):
        auth_header = 'Bearer realm="api"'

    told = exception_handler(Refused(), {})
    assert (told.status_code, told["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert told.data["error_code"] == "AUTHENTICATION_ERROR"


@pytest.fixture
def announced() -> Iterator[list[Any]]:
    """The requests of which Django's own signal told that they failed."""
    requests: list[Any] = []

    def note(request: Any, **kwargs: Any) -> None:
        requests.append(request)

    got_request_exception.connect(note)
    yield requests
    got_request_exception.disconnect(note)


def test_failures_are_announced_and_logged(
    announced: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Error trackers hear of each server error, once; of a caller's mistake they do not."""
    answer(NotFoundError())
    assert (announced, caplog.records) == ([], [])
    answer(ValueError("x"))
    answer(Unavailable())
    assert len(announced) == 2
    assert [record.name for record in caplog.records] == ["core.error_responses"] * 2


@pytest.mark.django_db
def test_a_failed_request_changes_nothing() -> None:
    """Under ATOMIC_REQUESTS the request's transaction is undone, as REST framework does it."""
    connection = db.connections["default"]
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        with db.transaction.atomic():
            answer(NotFoundError())
            assert connection.get_rollback()
            connection.set_rollback(False)
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_without_the_package() -> None:
    """The module imports without REST framework, and says what to install when it is used."""
    script = (
        "import sys; sys.modules['rest_framework'] = None\n"
        "from core.drf_errors import exception_handler\n"
        "try:\n    exception_handler(ValueError(), {})\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "djangorestframework" in done.stdout
