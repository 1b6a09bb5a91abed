"""Results and services."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as FieldValueError
from django.db import IntegrityError, OperationalError
from django.http import Http404
from django.utils.connection import ConnectionDoesNotExist

from core.exceptions import (
    AlreadyExistsError,
    BusinessLogicError,
    ConflictError,
    DatabaseError,
    NotFoundError,
    ServiceError,
    ValidationError,
)
from core.services import BaseService, ServiceResult
from tests.sample.models import Shelf


class TestResult:
    def test_success(self) -> None:
        """`success(data)` carries the data and no error."""
        user = object()
        result = ServiceResult.success(user)
        assert result.success is True
        assert result.data is user
        assert result.error is None
        assert result.error_code is None
        assert result
        assert result.unwrap() is user

    def test_failure(self) -> None:
        """`failure(error, error_code=)` carries both texts and no data; it is false in an `if`."""
        result = ServiceResult.failure("Email already exists", error_code="DUPLICATE_EMAIL")
        assert result.success is False
        assert result.data is None
        assert (result.error, result.error_code) == ("Email already exists", "DUPLICATE_EMAIL")
        assert not result
        assert ServiceResult.failure("no").error_code is None

    def test_success_may_have_no_data(self) -> None:
        """Some services have nothing to give back."""
        assert ServiceResult.success(None).unwrap() is None

    def test_it_is_a_dataclass(self) -> None:
        """It compares, shows itself, is copied and pickled as one, and does not change."""
        result = ServiceResult(success=True, data=1)
        names = [field.name for field in dataclasses.fields(result)]
        assert names[:4] == ["success", "data", "error", "error_code"]
        assert result == ServiceResult.success(1) != ServiceResult.success(2)
        assert repr(result) == ("ServiceResult(success=True, data=1, error=None, error_code=None)")
        assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result
        with pytest.raises(dataclasses.FrozenInstanceError):
            result.data = 2  # type: ignore[misc]  # on purpose

    def test_it_does_not_come_without_arguments(self) -> None:
        """Whether it is a success must be said."""
        with pytest.raises(TypeError, match="success"):
            ServiceResult()  # type: ignore[call-arg]  # on purpose

    @pytest.mark.parametrize(
        "arguments",
        [
            {"success": None},
            {"success": "yes"},
            {"success": True, "error": "no"},
            {"success": True, "error_code": "NO"},
            {"success": False, "error": 7},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, arguments: Any) -> None:
        """A success has no error, and errors are texts."""
        with pytest.raises(TypeError, match=r"success must be|text of a failure"):
            ServiceResult(**arguments)

    @pytest.mark.parametrize("error", [None, "", 7])
    def test_a_failure_says_what_went_wrong(self, error: Any) -> None:
        """A failure without a text is refused."""
        with pytest.raises(TypeError, match="error must say"):
            ServiceResult.failure(error)


class TestResultsAndExceptions:
    def test_an_exception_becomes_a_failure_and_back(self) -> None:
        """Text and code are kept, and `unwrap()` raises the very exception."""
        error = NotFoundError("Event not found", code="EVENT_NOT_FOUND")
        result: ServiceResult[int] = ServiceResult.from_exception(error)
        assert (result.error, result.error_code) == ("Event not found", "EVENT_NOT_FOUND")
        with pytest.raises(NotFoundError) as caught:
            result.unwrap()
        assert caught.value is error

    def test_validation_errors_of_django_are_told(self) -> None:
        """Their messages are meant for users."""
        result: ServiceResult[int] = ServiceResult.from_exception(FieldValueError(["a", "b"]))
        assert (result.error, result.error_code) == ("a; b", "VALIDATION_ERROR")

    def test_other_exceptions_are_not_told(self) -> None:
        """What an unexpected exception says is nobody's business outside."""
        result: ServiceResult[int] = ServiceResult.from_exception(ValueError("secret"))
        assert "secret" not in str(result.error)
        assert result.error_code == "INTERNAL_ERROR"
        with pytest.raises(ValueError, match="secret"):
            result.unwrap()

    @pytest.mark.parametrize(
        ("exception", "code"),
        [
            (Http404("No such page"), "NOT_FOUND"),
            (PermissionDenied("Not yours"), "PERMISSION_DENIED"),
            (OperationalError("host 10.0.0.5 is down"), "DATABASE_ERROR"),
        ],
    )
    def test_exceptions_of_django_keep_their_meaning(self, exception: Any, code: str) -> None:
        """They mean the same in a result as in a response, and tell no more."""
        result: ServiceResult[int] = ServiceResult.from_exception(exception)
        assert result.error_code == code
        assert "10.0.0.5" not in str(result.error)

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("NOT_FOUND", NotFoundError),
            ("CONFLICT", ConflictError),
            ("DUPLICATE_EMAIL", BusinessLogicError),
            (None, BusinessLogicError),
        ],
    )
    def test_a_failure_becomes_an_exception(self, code: str | None, kind: Any) -> None:
        """The class is that of the code, else BusinessLogicError; the code is kept."""
        with pytest.raises(BusinessLogicError if kind is BusinessLogicError else kind) as caught:
            ServiceResult.failure("no", error_code=code).unwrap()
        assert type(caught.value) is kind
        assert caught.value.message == "no"
        assert caught.value.error_code == (code or "BUSINESS_LOGIC_ERROR")

    @pytest.mark.parametrize("value", [None, "text", ValueError, KeyboardInterrupt()])
    def test_only_exceptions_can_be_wrapped(self, value: Any) -> None:
        """Texts, classes and interruptions are refused."""
        with pytest.raises(TypeError, match="takes an exception"):
            ServiceResult.from_exception(value)


class ShelfService(BaseService):
    """A service as users write it."""

    @classmethod
    def create(cls, label: str) -> ServiceResult[Shelf]:
        try:
            with cls.atomic():
                return ServiceResult.success(Shelf.objects.create(label=label))
        except IntegrityError:
            return ServiceResult.failure("Label already exists", error_code="DUPLICATE_LABEL")


class TestService:
    def test_its_logger_has_its_name(self) -> None:
        """Each service logs under the name of its class."""
        assert ShelfService.get_logger() is logging.getLogger("ShelfService")
        assert BaseService.get_logger().name == "BaseService"

    @pytest.mark.django_db
    def test_the_documented_pattern(self) -> None:
        """IntegrityError caught outside of `atomic()` leaves the database usable."""
        assert ShelfService.create("a").unwrap().label == "a"
        second = ShelfService.create("a")
        assert (second.success, second.error_code) == (False, "DUPLICATE_LABEL")
        assert Shelf.objects.count() == 1

    @pytest.mark.django_db
    def test_atomic_is_all_or_nothing(self) -> None:
        """An exception undoes the block and goes on to the caller."""

        def work() -> None:
            Shelf.objects.create(label="a")
            raise KeyError

        with pytest.raises(KeyError), ShelfService.atomic(using="default"):
            work()
        assert not Shelf.objects.exists()

    @pytest.mark.parametrize("using", ["elsewhere", "", 7, lambda: None])
    def test_an_unknown_database_is_refused(self, using: Any) -> None:
        """What is no database is named, and nothing is done."""
        expected = pytest.raises((TypeError, ConnectionDoesNotExist), match="database")
        with expected, ShelfService.atomic(using=using):
            raise AssertionError

    def test_errors_of_repositories_are_translated(self, caplog: Any) -> None:
        """A duplicate is a ValidationError; a DatabaseError is logged, and is a ServiceError."""
        translating = ShelfService.translating(duplicate="Taken", failure="Unable")
        with pytest.raises(ValidationError, match=r"^Taken$"), translating:
            raise AlreadyExistsError("email a@b.c")
        assert not caplog.records
        translating = ShelfService.translating(duplicate="Taken", failure="Unable")
        with pytest.raises(ServiceError, match=r"^Unable$") as caught, translating:
            raise DatabaseError("disk full")
        assert isinstance(caught.value.__cause__, DatabaseError)
        assert [(record.name, record.levelname) for record in caplog.records] == [
            ("ShelfService", "ERROR")
        ]
        assert "disk full" in caplog.text
