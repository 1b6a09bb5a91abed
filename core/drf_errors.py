"""The error body of this system for views of Django REST framework.

REST_FRAMEWORK = {"EXCEPTION_HANDLER": "core.drf_errors.exception_handler"}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.signals import got_request_exception

from core.error_responses import ErrorResponse, error_response, log_once, mark_logged
from core.exceptions import (
    AppException,
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    ValidationError,
)

if TYPE_CHECKING:
    from rest_framework.exceptions import APIException
    from rest_framework.response import Response

_BY_STATUS: dict[int, type[AppException]] = {
    kind.status_code: kind
    for kind in (
        ValidationError,
        AuthenticationError,
        AuthorizationError,
        NotFoundError,
        ConflictError,
        RateLimitError,
    )
}
# What REST framework calls its own errors; the hierarchy's codes say the same. Others are kept.
_STOCK_CODES = frozenset(
    {
        "authentication_failed",
        "error",
        "invalid",
        "not_authenticated",
        "not_found",
        "parse_error",
        "permission_denied",
        "throttled",
    }
)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Return the response to an exception in a view, the same as elsewhere in the system.

    Also undoes the request's transaction under `ATOMIC_REQUESTS`, and announces server errors by
    Django's `got_request_exception`, on which error trackers live. Raises ImportError, saying what
    to install, without REST framework.
    """
    # Here, since this module can be imported without the package, and before the settings are read.
    try:
        from rest_framework.exceptions import APIException
        from rest_framework.response import Response
        from rest_framework.views import set_rollback
    except ImportError as missing:
        raise ImportError("install djangorestframework to use this handler") from missing
    set_rollback()
    told = _from_drf(error) if isinstance(error, APIException) else error_response(error)
    if told.status >= 500:
        got_request_exception.send_robust(sender=exception_handler, request=context.get("request"))
    response = Response(told.body, status=told.status, headers=dict(told.headers))
    if told.status >= 500:
        mark_logged(response)
    return response


def _from_drf(error: APIException) -> ErrorResponse:
    headers = {"WWW-Authenticate": error.auth_header} if hasattr(error, "auth_header") else {}
    kind = _BY_STATUS.get(error.status_code, AppException)
    options: dict[str, Any] = {"code": _code(error), "headers": headers}
    if kind is RateLimitError:
        options["retry_after"] = getattr(error, "wait", None)
    if isinstance(error.detail, str):
        told = kind(error.detail, **options)
    else:
        text = None if error.status_code in _BY_STATUS else ValidationError().message
        told = kind(text, details=_details(error.detail), **options)
    if error.status_code >= 500:
        log_once(error, told.error_code)
    return ErrorResponse(error.status_code, told.to_dict(), told.headers)


def _code(error: APIException) -> str | None:
    codes = error.get_codes()
    if isinstance(codes, str) and codes not in _STOCK_CODES:
        return codes.upper()
    return None


def _details(detail: Any) -> dict[str, Any]:
    return detail if isinstance(detail, dict) else {"non_field_errors": detail}
