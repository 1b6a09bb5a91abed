"""One hierarchy of errors, each with an HTTP status, a code and one response body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class AppException(Exception):
    """Something went wrong that a caller can be told about."""

    status_code: ClassVar[int] = 500
    default_code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        error_code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        if code is not None and error_code is not None and code != error_code:
            raise TypeError(f"code={code!r} and error_code={error_code!r} differ; give one of them")
        self.message = message or self._default_message()
        self.error_code = code or error_code or self.default_code
        self.details = dict(details or {})
        super().__init__(self.message)

    @classmethod
    def _default_message(cls) -> str:
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    @property
    def code(self) -> str:
        return self.error_code

    def to_dict(self) -> dict[str, Any]:
        """Return the response body: success, error, error_code, details."""
        return {
            "success": False,
            "error": self.message,
            "error_code": self.error_code,
            "details": self.details,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # The class takes keywords only, so the attributes travel as state instead.
        return (type(self), (self.message,), self.__dict__.copy())


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

    status_code = 502
    default_code = "EXTERNAL_SERVICE_ERROR"


class ServiceTimeoutError(ExternalServiceError):
    """An external service took too long."""

    status_code = 504
    default_code = "EXTERNAL_SERVICE_TIMEOUT"


DotMacError = AppException
PermissionDeniedError = AuthorizationError
BusinessRuleError = BusinessLogicError
