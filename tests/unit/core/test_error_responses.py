"""Any exception becomes the same four keys, and tells no more than it may."""

import json
import logging
from dataclasses import dataclass
from typing import Any

import pytest
from django import db
from django.core import exceptions as django_errors
from django.http import Http404
from django.test import RequestFactory, override_settings
from django.urls import Resolver404

from core.error_responses import as_app_exception, error_response
from core.exceptions import (
    AlreadyExistsError,
    CircuitOpenError,
    ConflictError,
    ExternalServiceError,
    NotFoundError,
    RateLimitError,
)

SECRET = "column hunter2 of relation salaries"


class DuplicateRow(AlreadyExistsError, db.IntegrityError):
    """An error of both worlds."""


@pytest.mark.parametrize(
    ("error", "status", "code", "text"),
    [
        (NotFoundError("No such seat", code="NO_SEAT"), 404, "NO_SEAT", "No such seat"),
        (DuplicateRow("Taken"), 409, "ALREADY_EXISTS", "Taken"),
        (Http404("No such page"), 404, "NOT_FOUND", "No such page"),
        (Http404(), 404, "NOT_FOUND", "There is no such resource."),
        (
            Resolver404({"tried": [[SECRET]], "path": "x"}),
            *(404, "NOT_FOUND", "There is no such resource."),
        ),
        (
            django_errors.PermissionDenied(),
            *(403, "PERMISSION_DENIED", "You are not allowed to do this."),
        ),
        (django_errors.PermissionDenied("Hosts only"), 403, "PERMISSION_DENIED", "Hosts only"),
        (
            django_errors.DisallowedHost(SECRET),
            *(400, "VALIDATION_ERROR", "The request is not valid."),
        ),
        (django_errors.BadRequest(SECRET), 400, "VALIDATION_ERROR", "The request is not valid."),
        (
            db.OperationalError(SECRET),
            *(503, "DATABASE_ERROR", "The database is not available; please try again."),
        ),
        (
            db.InterfaceError(SECRET),
            *(503, "DATABASE_ERROR", "The database is not available; please try again."),
        ),
        (db.IntegrityError(SECRET), 500, "INTERNAL_ERROR", "Something went wrong on our side."),
        (ValueError(SECRET), 500, "INTERNAL_ERROR", "Something went wrong on our side."),
        (SystemExit(SECRET), 500, "INTERNAL_ERROR", "Something went wrong on our side."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_callers_are_told(error: BaseException, status: int, code: str, text: str) -> None:
    """Each exception has its status, code and text; what is inside stays inside."""
    told = error_response(error)
    assert (told.status, told.body["error_code"], told.body["error"]) == (status, code, text)
    assert list(told.body) == ["success", "error", "error_code", "details"]
    assert told.body["details"] == {}
    assert "hunter2" not in json.dumps(told.body)


def test_invalid_fields_are_named() -> None:
    """Django's error of fields becomes field -> messages, with its parameters filled in."""
    error = django_errors.ValidationError(
        {
            "seats": django_errors.ValidationError("At most %(n)s.", params={"n": 4}),
            "phone": ["Too short.", "No letters."],
        }
    )
    told = error_response(error)
    assert (told.status, told.body["error_code"]) == (400, "VALIDATION_ERROR")
    assert told.body["details"] == {
        "seats": ["At most 4."],
        "phone": ["Too short.", "No letters."],
    }


def test_invalid_as_a_whole() -> None:
    """An error of no field stands under `__all__`, as in Django's forms."""
    told = error_response(django_errors.ValidationError(["Sold out.", "Too late."]))
    assert told.body["details"] == {"__all__": ["Sold out.", "Too late."]}


def test_headers_come_along() -> None:
    """A rate limit says when to come back."""
    assert error_response(RateLimitError(retry_after=30)).headers == {"Retry-After": "30"}
    assert error_response(ConflictError()).headers == {}


def test_debug_shows_what_happened() -> None:
    """Only under DEBUG does the body of an unknown error name it."""
    with override_settings(DEBUG=True):
        told = error_response(ValueError("row 7"))
    assert told.body["details"] == {"exception": "ValueError", "message": "row 7"}
    assert told.body["error"] == "Something went wrong on our side."


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize("error", [ValueError(SECRET), db.OperationalError(SECRET)])
def test_our_own_failures_are_logged_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one record with the traceback, however many layers ask for the response."""
    caught = _raised(error)
    error_response(caught)
    error_response(caught)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("core.error_responses", logging.ERROR)
    assert record.exc_info
    assert record.exc_info[1] is caught
    assert "_raised" in caplog.text


def test_a_failing_service_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A typed error of status 5xx is logged with its cause as well."""
    try:
        raise ExternalServiceError("no answer") from OSError("reset by peer")
    except ExternalServiceError as error:
        error_response(error)
    assert "reset by peer" in caplog.text


def test_an_open_circuit_has_no_traceback(
    rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """What opened it was logged; each request that it fails is a line at INFO."""
    caplog.set_level("INFO")
    told = error_response(CircuitOpenError("left alone"), rf.get("/pay"))
    assert told.status == 503
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("INFO", None)


def test_what_callers_did_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A 4xx is no failure of ours."""
    error_response(NotFoundError())
    error_response(django_errors.ValidationError("x"))
    assert not caplog.records


@dataclass(frozen=True)
class Frozen(Exception):
    text: str = "x"


def test_an_exception_that_takes_no_mark(caplog: pytest.LogCaptureFixture) -> None:
    """A frozen exception is answered like any other."""
    assert error_response(Frozen()).status == 500
    assert len(caplog.records) == 1


def test_an_error_of_the_hierarchy_is_itself() -> None:
    """Tasks and clients may re-raise what comes back."""
    error = ConflictError()
    assert as_app_exception(error) is error
    assert isinstance(as_app_exception(Http404()), NotFoundError)


@pytest.mark.parametrize("value", [None, "text", ValueError])
def test_only_exceptions_are_answered(value: Any) -> None:
    """Anything else is a mistake of the caller, named as such."""
    with pytest.raises(TypeError, match="error must be an exception"):
        error_response(value)


def test_an_unknown_error_without_a_text_is_answered() -> None:
    """A broken `__str__` does not break the response, even under DEBUG."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with override_settings(DEBUG=True):
        told = error_response(Mute())
    assert (told.status, told.body["details"]["message"]) == (500, "<Mute>")
