"""Services: where business logic lives, and the result that they may return."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

from django.core.exceptions import ValidationError as FieldValueError
from django.db import transaction

from core.error_responses import as_app_exception
from core.exceptions import (
    AlreadyExistsError,
    AppException,
    BusinessLogicError,
    DatabaseError,
    ServiceError,
    ValidationError,
)
from core.helpers import shortened
from core.transactions import require_alias

Data = TypeVar("Data")


class _Success:
    """On the class: makes a result that succeeded. On a result: whether it did."""

    @overload
    def __get__(
        self, instance: None, owner: type[ServiceResult[Data]]
    ) -> Callable[[Data], ServiceResult[Data]]: ...

    @overload
    def __get__(self, instance: ServiceResult[Any], owner: type[ServiceResult[Data]]) -> bool: ...

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return lambda data=None: owner(success=True, data=data)
        return instance.__dict__["success"]

    def __set__(self, instance: ServiceResult[Any], value: bool) -> None:
        instance.__dict__["success"] = value


@dataclass(init=False, frozen=True)
class ServiceResult(Generic[Data]):
    """What a service did: `data` when it succeeded, otherwise `error` and `error_code`.

    `ServiceResult.success(data)` and `ServiceResult.failure(error, error_code=...)` make one; in an
    `if` it stands for its success.
    """

    success: _Success = _Success()
    data: Data | None = None
    error: str | None = None
    error_code: str | None = None
    exception: Exception | None = field(default=None, repr=False, compare=False)

    def __init__(
        self,
        success: bool,
        data: Data | None = None,
        error: str | None = None,
        error_code: str | None = None,
        *,
        exception: Exception | None = None,
    ) -> None:
        if not isinstance(success, bool):
            raise TypeError(f"success must be True or False, got {shortened(success)}")
        for name, text in (("error", error), ("error_code", error_code)):
            if text is not None and (success or not isinstance(text, str)):
                raise TypeError(f"{name} is the text of a failure, got {shortened(text)}")
        values = (success, data, error, error_code, exception)
        names = ("success", "data", "error", "error_code", "exception")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    @classmethod
    def failure(cls, error: str, error_code: str | None = None) -> ServiceResult[Data]:
        """Return a result that failed, with a text for people and a code for programs."""
        if not isinstance(error, str) or not error:
            raise TypeError(f"error must say what went wrong, got {shortened(error)}")
        return cls(success=False, error=error, error_code=error_code)

    @classmethod
    def from_exception(cls, exception: Exception) -> ServiceResult[Data]:
        """Return the failure that this exception means; `unwrap()` raises it again.

        Of exceptions that are not meant for users, the text is a general one.
        """
        if not isinstance(exception, Exception):
            raise TypeError(f"from_exception() takes an exception, got {shortened(exception)}")
        known = _as_told(exception)
        return cls(
            success=False, error=known.message, error_code=known.error_code, exception=exception
        )

    def __bool__(self) -> bool:
        """Tell whether the service succeeded."""
        return self.success

    def unwrap(self) -> Data:
        """Return the data of a success; raise the failure.

        That is the exception it was made from, else the core exception whose usual code is
        `error_code`, else BusinessLogicError.
        """
        if self.success:
            return self.data  # type: ignore[return-value]  # None where None is the data
        if self.exception is not None:
            raise self.exception
        kind = _kinds().get(self.error_code or "", BusinessLogicError)
        raise kind(self.error, code=self.error_code)


def _as_told(exception: Exception) -> AppException:
    if isinstance(exception, AppException):
        return exception
    if isinstance(exception, FieldValueError):
        return ValidationError("; ".join(exception.messages))
    return as_app_exception(exception)


def _kinds() -> dict[str, type[AppException]]:
    found: dict[str, type[AppException]] = {}
    classes = [AppException]
    for kind in classes:
        classes += kind.__subclasses__()
        if kind.__module__ == AppException.__module__:
            found.setdefault(kind.default_code, kind)
    return found


class BaseService:
    """The parent of services, which return `ServiceResult` or raise core exceptions."""

    @classmethod
    def get_logger(cls) -> logging.Logger:
        """Return the logger that is named after the class."""
        return logging.getLogger(cls.__name__)

    @classmethod
    @contextmanager
    def atomic(cls, using: str | None = None) -> Iterator[None]:
        """Make the block one transaction; catch IntegrityError outside of it, not inside.

        Raises TypeError or Django's ConnectionDoesNotExist unless `using` is a database's alias.
        """
        if using is not None:
            require_alias(using)
        with transaction.atomic(using=using):
            yield

    @classmethod
    @contextmanager
    def translating(cls, *, duplicate: str, failure: str) -> Iterator[None]:
        """Turn what repositories raise in the block into what callers of a service are told.

        AlreadyExistsError becomes ValidationError(duplicate); DatabaseError is logged and becomes
        ServiceError(failure).
        """
        try:
            yield
        except AlreadyExistsError as error:
            raise ValidationError(duplicate) from error
        except DatabaseError as error:
            cls.get_logger().error("%s", failure, exc_info=error)
            raise ServiceError(failure) from error
