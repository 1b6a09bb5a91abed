"""Turns any exception into what a caller may be told: for middleware, DRF, tasks and clients alike.

Errors of `core.exceptions` speak for themselves. Those of Django and of the database get the same
body; an unknown one becomes a 500 that tells nothing unless DEBUG is on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django import db
from django.conf import settings
from django.core import exceptions as django_errors
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path

from core.exceptions import (
    AppException,
    AuthorizationError,
    CircuitOpenError,
    DatabaseError,
    NotFoundError,
    ValidationError,
)
from core.jsonable import jsonable

logger = logging.getLogger(__name__)

_UNKNOWN = "Something went wrong on our side."


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An HTTP status, the body with its four keys, and headers."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def error_response(error: BaseException, request: HttpRequest | None = None) -> ErrorResponse:
    """Return what a caller is told about `error`, and log it when it is our fault (5xx).

    The record has the traceback, and is written once per exception however many layers ask. With
    the request it has method, path and status too, and other errors become a line at INFO, as does
    CircuitOpenError: what opened the circuit was logged, and no traceback tells more. Raises
    TypeError when `error` is not an exception.
    """
    if not isinstance(error, BaseException):
        raise TypeError(f"error must be an exception, got {error!r}")
    told = as_app_exception(error)
    facts = {} if request is None else _facts(request, told.status_code)
    if told.status_code >= 500 and not isinstance(error, CircuitOpenError):
        log_once(error, told.error_code, facts)
    elif request is not None:
        _log_refusal(error, told.error_code, facts)
    return ErrorResponse(told.status_code, told.to_dict(), dict(told.headers))


def as_app_exception(error: BaseException) -> AppException:
    """Return `error` as one of the hierarchy: itself, its counterpart, or a neutral 500."""
    if isinstance(error, AppException):
        return error
    if isinstance(error, django_errors.ValidationError):
        return ValidationError(details=_messages(error))
    if isinstance(error, Http404):
        return NotFoundError(_text_of(error))
    if isinstance(error, django_errors.PermissionDenied):
        return AuthorizationError(_text_of(error))
    if isinstance(error, django_errors.SuspiciousOperation | django_errors.BadRequest):
        return ValidationError("The request is not valid.")
    if isinstance(error, db.OperationalError | db.InterfaceError):
        return DatabaseError("The database is not available; please try again.")
    return AppException(_UNKNOWN, details=_internals(error))


def log_once(error: BaseException, error_code: str, facts: Mapping[str, Any] | None = None) -> None:
    """Log an exception with its traceback and these facts, unless that was done before."""
    if getattr(error, "_is_logged", False):
        return
    name = type(error).__qualname__
    logger.error("%s: %s", error_code, name, exc_info=error, extra=dict(facts or {}))
    try:
        error._is_logged = True  # type: ignore[attr-defined]  # exceptions take attributes
    except AttributeError:  # but frozen ones, which are then logged by each layer
        pass


def mark_logged(response: HttpResponseBase) -> None:
    """Have Django write no line of its own for the response: one was written, with the error."""
    response._has_been_logged = True  # type: ignore[attr-defined]  # what django.utils.log asks


def _facts(request: HttpRequest, status: int) -> dict[str, Any]:
    # Quoted as in the URL, so no path can begin a line of its own; queries may hold secrets.
    path = escape_uri_path(request.path)
    return {"method": request.method, "path": path, "status": status}


def _log_refusal(error: BaseException, error_code: str, facts: Mapping[str, Any]) -> None:
    name = type(error).__qualname__
    if isinstance(error, django_errors.SuspiciousOperation):
        # Where Django reports these, and where people who look for attacks read.
        security = logging.getLogger(f"django.security.{type(error).__name__}")
        security.warning("%s: %s", error_code, name, extra=dict(facts))
    else:
        logger.info("%s: %s", error_code, name, extra=dict(facts))


def _messages(error: django_errors.ValidationError) -> dict[str, list[str]]:
    if hasattr(error, "error_dict"):
        return error.message_dict
    return {django_errors.NON_FIELD_ERRORS: error.messages}


def _text_of(error: Exception) -> str | None:
    # A text was written for people; the URL resolver's 404 carries its patterns instead.
    text = error.args[0] if error.args else None
    return text if isinstance(text, str) else None


def _internals(error: BaseException) -> dict[str, str]:
    if not (settings.configured and settings.DEBUG):
        return {}
    return {"exception": type(error).__qualname__, "message": jsonable(error)}
