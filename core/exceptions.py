"""One hierarchy of errors, each with an HTTP status, a code and one response body."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

from core.jsonable import jsonable

_ARGS: Any = BaseException.__dict__["args"]
# What `to_dict()` returns has these.
_BODY = {"error", "error_code", "details"}


class AppException(Exception):
    """Something went wrong."""

    status_code: ClassVar[int] = 500
    default_code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self,
        message: object = None,
        *,
        code: str | None = None,
        error_code: str | None = None,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what callers are told: `message` for people, `code` and `details` for programs.

        `error_code` is another name of `code`. `headers` go out with the HTTP response. What
        `to_dict()` returned may stand for message, code and details. Raises TypeError when the two
        codes differ, or a value is not of its type, and ValueError for a header that breaks its
        line.
        """
        if isinstance(message, Mapping) and message.keys() >= _BODY:
            code = message["error_code"] if code is None and error_code is None else code
            details = message["details"] if details is None else details
            message = message["error"]
        self.message = str(message or "") or self._default_message()
        self.error_code = _one_code(code, error_code) or self.default_code
        self.details = _mapping("details", details)
        self.headers: dict[str, str] = _headers(headers)
        super().__init__(self.message)

    @classmethod
    def _default_message(cls) -> str:
        # A class without a docstring says what its parent says.
        texts = [kind.__doc__ for kind in cls.__mro__ if issubclass(kind, AppException)]
        return next((text for text in texts if text), cls.__name__).strip().splitlines()[0]

    @property
    def args(self) -> tuple[Any, ...]:
        """The message; with a code or details of its own, all that `to_dict()` returns.

        Celery stores these of an error in a JSON result, and gives them to its class again.
        """
        plain: tuple[Any, ...] = _ARGS.__get__(self)
        has_more = self.details or self.error_code != self.default_code
        return (self.to_dict(),) if has_more and plain == (self.message,) else plain

    @args.setter
    def args(self, value: Any) -> None:
        _ARGS.__set__(self, value)

    @property
    def code(self) -> str:
        """The machine-readable code, `error_code` by its other name."""
        return self.error_code

    def to_dict(self) -> dict[str, Any]:
        """Return the response body: success, error, error_code, details; always fit for JSON."""
        return {
            "success": False,
            "error": jsonable(self.message),
            "error_code": self.error_code,
            "details": jsonable(self.details),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither pickle nor copy may call __init__: a subclass gives it a signature of its own.
        return (_rebuilt, (type(self), _ARGS.__get__(self)), self.__dict__.copy())


def _rebuilt(cls: type[AppException], args: tuple[Any, ...]) -> AppException:
    return cls.__new__(cls, *args)


def _one_code(code: str | None, error_code: str | None) -> str | None:
    for name, value in (("code", code), ("error_code", error_code)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a text such as 'NOT_FOUND', got {value!r}")
    if code is not None and error_code is not None and code != error_code:
        raise TypeError(f"code={code!r} and error_code={error_code!r} differ; give one of them")
    return code or error_code


def _mapping(name: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping such as {{'field': 'value'}}, got {value!r}")
    return dict(value)


def _headers(value: Mapping[str, str] | None) -> dict[str, str]:
    headers = _mapping("headers", value)
    for name, text in headers.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"headers must map texts to texts, got {name!r}: {text!r}")
        if {"\r", "\n"} & {*name, *text}:
            raise ValueError(f"a header is one line, got {name!r}: {text!r}")
    return headers


class ValidationError(AppException):
    """The input is not valid."""

    status_code = 400
    default_code = "VALIDATION_ERROR"


class BusinessLogicError(AppException):
    """A business rule does not allow this."""

    status_code = 400
    default_code = "BUSINESS_LOGIC_ERROR"


class TenantError(AppException):
    """There is no usable tenant."""

    status_code = 400
    default_code = "TENANT_ERROR"


class AuthenticationError(AppException):
    """Authentication is needed."""

    status_code = 401
    default_code = "AUTHENTICATION_ERROR"


class AuthorizationError(AppException):
    """You are not allowed to do this."""

    status_code = 403
    default_code = "PERMISSION_DENIED"


class NotFoundError(AppException):
    """There is no such resource."""

    status_code = 404
    default_code = "NOT_FOUND"


class ConflictError(AppException):
    """This conflicts with what is already there."""

    status_code = 409
    default_code = "CONFLICT"


class AlreadyExistsError(ConflictError):
    """This exists already."""

    default_code = "ALREADY_EXISTS"


class RateLimitError(AppException):
    """Too many requests."""

    status_code = 429
    default_code = "RATE_LIMIT_EXCEEDED"

    def __init__(
        self, message: object = None, *, retry_after: float | None = None, **options: Any
    ) -> None:
        """Take also the seconds after which a retry makes sense: `Retry-After`, at least 1.

        Without `retry_after` the value of that name in `details` counts. Raises TypeError or
        ValueError when it is not a number of seconds.
        """
        super().__init__(message, **options)
        if retry_after is None:
            retry_after = self.details.get("retry_after", 1)
        else:
            self.details.setdefault("retry_after", retry_after)
        self.headers.setdefault("Retry-After", _whole_seconds(retry_after))


def _whole_seconds(seconds: object) -> str:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"retry_after must be a number of seconds, got {seconds!r}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"retry_after must be a finite number from 0 on, got {seconds!r}")
    return str(max(1, math.ceil(seconds)))


class DatabaseError(AppException):
    """The database could not do this."""

    status_code = 503
    default_code = "DATABASE_ERROR"


class ServiceError(AppException):
    """A service could not be reached or did not do its part."""

    status_code = 503
    default_code = "SERVICE_ERROR"


class ExternalServiceError(ServiceError):
    """An external service failed."""

    # What the service answered, if it did; never part of the response body.
    response: Any = None

    status_code = 502
    default_code = "EXTERNAL_SERVICE_ERROR"

    def __reduce__(self) -> tuple[Any, ...]:
        # The answer, and the request that it holds, are this process's own: they may be secret.
        rebuild, arguments, state = super().__reduce__()
        return rebuild, arguments, {name: v for name, v in state.items() if name != "response"}


class CircuitOpenError(ExternalServiceError):
    """An external service keeps failing and is left alone for a while."""

    status_code = 503
    default_code = "CIRCUIT_OPEN"


class ServiceTimeoutError(ExternalServiceError):
    """An external service took too long."""

    status_code = 504
    default_code = "EXTERNAL_SERVICE_TIMEOUT"


class ConfigurationError(AppException, ImproperlyConfigured):
    """A setting or an environment variable cannot be used."""

    default_code = "CONFIGURATION_ERROR"


DotMacError = AppException
PermissionDeniedError = AuthorizationError
BusinessRuleError = BusinessLogicError
