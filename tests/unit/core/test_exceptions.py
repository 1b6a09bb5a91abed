"""One hierarchy of errors: statuses, codes, names, and a life outside the process that raised."""

import copy
import json
import pickle
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from celery.backends.base import Backend
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy

from core import exceptions
from core.exceptions import (
    AlreadyExistsError,
    AppException,
    AuthenticationError,
    AuthorizationError,
    BusinessLogicError,
    BusinessRuleError,
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    DatabaseError,
    DotMacError,
    ExternalServiceError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceError,
    ServiceTimeoutError,
    TenantError,
    ValidationError,
)

STATUSES = [
    (AppException, 500, "INTERNAL_ERROR"),
    (ValidationError, 400, "VALIDATION_ERROR"),
    (BusinessLogicError, 400, "BUSINESS_LOGIC_ERROR"),
    (TenantError, 400, "TENANT_ERROR"),
    (AuthenticationError, 401, "AUTHENTICATION_ERROR"),
    (AuthorizationError, 403, "PERMISSION_DENIED"),
    (NotFoundError, 404, "NOT_FOUND"),
    (ConflictError, 409, "CONFLICT"),
    (AlreadyExistsError, 409, "ALREADY_EXISTS"),
    (RateLimitError, 429, "RATE_LIMIT_EXCEEDED"),
    (DatabaseError, 503, "DATABASE_ERROR"),
    (ServiceError, 503, "SERVICE_ERROR"),
    (ExternalServiceError, 502, "EXTERNAL_SERVICE_ERROR"),
    (CircuitOpenError, 503, "CIRCUIT_OPEN"),
    (ServiceTimeoutError, 504, "EXTERNAL_SERVICE_TIMEOUT"),
    (ConfigurationError, 500, "CONFIGURATION_ERROR"),
]
KINDS = [kind for kind, _, _ in STATUSES]


class NeedsMore(ConflictError):
    """An error with a constructor of its own."""

    def __init__(self, order: int, *, seat: str) -> None:
        super().__init__(f"order {order} lost {seat}", details={"seat": seat})


@pytest.mark.parametrize(("kind", "status", "code"), STATUSES)
def test_each_kind_has_a_status_a_code_and_a_message(
    kind: type[AppException], status: int, code: str
) -> None:
    """Raised bare, an error still makes a whole response body."""
    error = kind()
    assert (error.status_code, error.error_code, error.code) == (status, code, code)
    assert error.message.endswith(".")
    assert str(error) == error.message
    body = error.to_dict()
    assert list(body) == ["success", "error", "error_code", "details"]
    assert body["success"] is False
    assert json.loads(json.dumps(body)) == body


def test_every_error_of_the_module_is_tested() -> None:
    """The table above leaves none out."""
    found = {
        each
        for each in vars(exceptions).values()
        if isinstance(each, type) and issubclass(each, AppException)
    }
    assert found == set(KINDS)


def test_a_missing_event() -> None:
    """Message, code and details go into the body as they were given."""
    error = NotFoundError("Event not found", code="EVENT_NOT_FOUND", details={"event_id": 123})
    assert error.status_code == 404
    assert error.to_dict() == {
        "success": False,
        "error": "Event not found",
        "error_code": "EVENT_NOT_FOUND",
        "details": {"event_id": 123},
    }


def test_not_the_host() -> None:
    """An error may narrow its code without details."""
    error = AuthorizationError("Not authorized to modify event", code="NOT_EVENT_HOST")
    assert (error.status_code, error.error_code, error.details) == (403, "NOT_EVENT_HOST", {})


def test_either_name_of_the_code() -> None:
    """`code=` and `error_code=` are one value; two different ones are refused."""
    assert NotFoundError("x", error_code="GONE").code == "GONE"
    assert NotFoundError("x", error_code="GONE", code="GONE").error_code == "GONE"
    with pytest.raises(TypeError, match="'A' and error_code='B' differ"):
        NotFoundError("x", code="A", error_code="B")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (AppException, DotMacError),
        (AuthorizationError, PermissionDeniedError),
        (BusinessLogicError, BusinessRuleError),
    ],
)
def test_either_name_of_a_class_catches(one: type[AppException], other: type[AppException]) -> None:
    """What is raised under one name is caught under the other."""
    with pytest.raises(one):
        raise other("x")
    with pytest.raises(other):
        raise one("x")


@pytest.mark.parametrize(
    ("error", "caught_as"),
    [
        (AlreadyExistsError, ConflictError),
        (ExternalServiceError, ServiceError),
        (ServiceTimeoutError, ExternalServiceError),
        (ConfigurationError, ImproperlyConfigured),
        *((kind, DotMacError) for kind in KINDS),
    ],
)
def test_the_hierarchy(error: type[AppException], caught_as: type[Exception]) -> None:
    """Every kind is caught by what it is a case of, and by the one base."""
    with pytest.raises(caught_as):
        raise error("x")


def test_a_cause_is_kept() -> None:
    """`raise ... from` keeps what happened below."""
    cause = KeyError("row")
    with pytest.raises(DatabaseError) as caught:
        raise DatabaseError("cannot store") from cause
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize(
    "again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy]
)
@pytest.mark.parametrize(
    "error",
    [
        *(kind("text", code="CODE", details={"price": Decimal("1.10")}) for kind in KINDS),
        RateLimitError(retry_after=30),
        NeedsMore(7, seat="A1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes(error: AppException, again: Any) -> None:
    """Pickling and copying keep class, text, code, details and headers."""
    there = again(error)
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)
    assert there.to_dict() == error.to_dict()


@pytest.mark.parametrize(
    "error",
    [
        *(kind("text") for kind in KINDS),
        *(kind("text", code="CODE", details={"price": Decimal("1.10")}) for kind in KINDS),
        NotFoundError(details={"error": "x", "error_code": "y", "details": {}}),
        RateLimitError(retry_after=30),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_in_a_result_as_json(error: AppException) -> None:
    """Celery keeps class, text, code and details of an error in a result that is JSON."""
    results = Backend(Celery(set_as_current=False))
    stored = results.prepare_exception(error, "json")
    there = results.exception_to_python(json.loads(json.dumps(stored)))
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert there.to_dict() == json.loads(json.dumps(error.to_dict()))
    assert there.headers == error.headers


def test_an_error_from_a_body() -> None:
    """A response body makes its error again; what is given beside it counts more."""
    body = ConflictError("taken", code="SEAT_TAKEN", details={"seat": "A1"}).to_dict()
    assert ConflictError(body).to_dict() == body
    other = ConflictError(body, code="OTHER", details={})
    assert (other.message, other.code, other.details) == ("taken", "OTHER", {})
    assert ConflictError({"error": "x"}).message == "{'error': 'x'}"
    with pytest.raises(TypeError, match="code"):
        ConflictError(body | {"error_code": 5})
    with pytest.raises(TypeError, match="details"):
        ConflictError(body | {"details": "A1"})


def test_what_is_shown_of_an_error_is_its_text() -> None:
    """Details are for programs: neither text nor `repr`, which logs show, has them."""
    error = NotFoundError("No event", code="NO_EVENT", details={"phone": "+49301"})
    assert (str(error), repr(error)) == ("No event", "NotFoundError('No event')")
    assert NotFoundError("No event").args == ("No event",)
    error.args = ("Problem installing a fixture: No event",)
    assert str(error) == "Problem installing a fixture: No event"


def test_a_copy_has_details_of_its_own() -> None:
    """What is given to an error, and a deep copy of it, can change without changing the error."""
    details = {"seats": ["A1"]}
    error = ConflictError(details=details)
    details["more"] = []
    copy.deepcopy(error).details["seats"].append("A2")
    assert error.details == {"seats": ["A1"]}


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Unlistable(dict[str, int]):
    """A mapping that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("cannot speak")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("1.10"), "1.10"),
        (Decimal("NaN"), "NaN"),
        (float("inf"), "inf"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(minutes=90), "P0DT01H30M00S"),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2}), [2]),
        ((1, (2,)), [1, [2]]),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (b"a\xff", "a\\xff"),
        (gettext_lazy("text"), "text"),
        ({1: {None: True}}, {"1": {"None": True}}),
        ({UUID(int=1): 1}, {"00000000-0000-0000-0000-000000000001": 1}),
        (KeyError("k"), "'k'"),
        (Mute(), "<Mute>"),
        ("NUL \x00, lone \ud800, ü", "NUL \x00, lone \\ud800, ü"),
        (10**5000, hex(10**5000)),
        (Unlistable(a=1), "<Unlistable>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_details_become_json(value: object, written: object) -> None:
    """The body is fit for JSON whatever the details hold; the details themselves keep types."""
    error = ConflictError(details={"value": value})
    body = error.to_dict()
    assert body["details"] == {"value": written}
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert json.dumps(body, ensure_ascii=False).encode()
    assert error.details["value"] is value


def test_details_that_contain_themselves() -> None:
    """A body ends somewhere."""
    details: dict[str, Any] = {}
    details["self"] = [details, details, details]
    assert ConflictError(details=details).to_dict()["details"] == {
        "self": [{"self": "…"}, {"self": "…"}, {"self": "…"}]
    }


def test_details_that_are_nested_deeply() -> None:
    """What is deeper than anybody reads is left out."""
    details: dict[str, Any] = {}
    for _ in range(1000):
        details = {"in": details}
    written = json.dumps(ConflictError(details=details).to_dict(), ensure_ascii=False)
    assert written.endswith('"…"' + "}" * 33)


def test_a_class_without_a_docstring_says_what_its_parent_says() -> None:
    """The name of a class is not for people."""

    class SeatGone(NotFoundError):
        pass

    assert SeatGone().message == "There is no such resource."


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Retry-After": 5}, TypeError),
        ({1: "x"}, TypeError),
        ("X: y", TypeError),
        ({"X": "y\r\nSet-Cookie: a=b"}, ValueError),
    ],
)
def test_a_header_is_a_line_of_text(headers: Any, kind: type[Exception]) -> None:
    """A header that no response can carry is refused where the error is made."""
    with pytest.raises(kind, match="header"):
        NotFoundError("gone", headers=headers)


@pytest.mark.parametrize("details", ["text", ["a"], 7, ("a", 1)])
def test_details_must_be_a_mapping(details: Any) -> None:
    """The error names what was given instead."""
    with pytest.raises(TypeError, match="details must be a mapping"):
        NotFoundError("x", details=details)


@pytest.mark.parametrize("code", [404, b"GONE", ["GONE"]])
def test_a_code_must_be_a_text(code: Any) -> None:
    """A number is a status, not a code."""
    with pytest.raises(TypeError, match="code must be a text"):
        NotFoundError("x", code=code)


def test_a_message_may_be_anything_with_a_text() -> None:
    """A lazy text or another exception is told as its text; nothing as the default."""
    assert NotFoundError(gettext_lazy("Gone")).to_dict()["error"] == "Gone"
    assert DatabaseError(ValueError("full")).message == "full"
    assert NotFoundError("").message == NotFoundError(None).message == "There is no such resource."


def test_when_to_come_back() -> None:
    """A rate limit says so in whole seconds, at least one, wherever they were given."""
    assert RateLimitError().headers == {"Retry-After": "1"}
    error = RateLimitError("slow down", retry_after=2.1)
    assert (error.headers, error.details) == ({"Retry-After": "3"}, {"retry_after": 2.1})
    assert RateLimitError(details={"retry_after": 30}).headers == {"Retry-After": "30"}
    given = RateLimitError(retry_after=5, headers={"Retry-After": "9", "RateLimit-Limit": "4"})
    assert given.headers == {"Retry-After": "9", "RateLimit-Limit": "4"}


@pytest.mark.parametrize("seconds", ["30", True, -1, float("nan"), float("inf"), [1]])
def test_when_must_be_a_number(seconds: Any) -> None:
    """A time that makes no header is refused by name."""
    with pytest.raises((TypeError, ValueError), match="retry_after must be"):
        RateLimitError(retry_after=seconds)
