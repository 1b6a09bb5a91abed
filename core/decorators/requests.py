"""One line in the log for each request to a view."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, QueryDict, RawPostDataException
from django.utils.encoding import escape_uri_path

from core.decorators.calls import (
    Args,
    F,
    Kwargs,
    auser_id_of,
    django_request,
    require_request,
    user_id_of,
    wrapped,
)
from core.error_responses import as_app_exception
from core.helpers import shortened
from core.redaction import REDACTED, is_secret
from core.utils.logger import log_api_request

# Bytes of a body that are read for the log, and characters that are written.
_MAX_BODY = 64 * 1024
_MAX_SHOWN = 2000
# The user cannot be looked up; the view may do without.
_UNKNOWN = "unknown"


def log_request(include_body: bool = False) -> Callable[[F], F]:
    """Log each request to a view: method, path, status, duration and user id.

    The path is without its query, which may hold tokens. With `include_body` a JSON or form body
    of at most 64 KiB is added, with secrets redacted by the names of their fields; of any other
    body only its type and size. Raises TypeError when the function gets no request.
    """
    if not isinstance(include_body, bool):
        raise TypeError(
            "write @log_request() or @log_request(include_body=True), "
            f"got {shortened(include_body)}"
        )

    def decorate(function: F) -> F:
        def sync(args: Args, kwargs: Kwargs) -> Any:
            request = require_request(function, args, kwargs)
            record = _Record(request, include_body, _user_of(request))
            try:
                response = function(*args, **kwargs)
            except Exception as error:
                record.write(_status_of(error))
                raise
            record.write(getattr(response, "status_code", None))
            return response

        async def coroutine(args: Args, kwargs: Kwargs) -> Any:
            request = require_request(function, args, kwargs)
            record = _Record(request, include_body, await _auser_of(request))
            try:
                response = await function(*args, **kwargs)
            except Exception as error:
                record.write(_status_of(error))
                raise
            record.write(getattr(response, "status_code", None))
            return response

        return wrapped(function, sync=sync, coroutine=coroutine)

    return decorate


class _Record:
    """The line about one request, begun before the view and written after it."""

    def __init__(self, request: Any, include_body: bool, user_id: str | None) -> None:
        self._request = request
        self._user_id = user_id
        self._began = time.perf_counter()
        # Before the view: afterwards the stream may be gone.
        self._body = _body_of(django_request(request)) if include_body else None

    def write(self, status: int | None) -> None:
        """Write the line, and mark the request so that nobody writes another."""
        log_api_request(
            method=self._request.method,
            # Quoted as in the URL.
            path=escape_uri_path(self._request.path),
            status=status,
            duration=time.perf_counter() - self._began,
            user_id=self._user_id,
            **({} if self._body is None else {"body": self._body}),
        )
        django_request(self._request).is_logged = True  # type: ignore[attr-defined]  # our mark


def _user_of(request: Any) -> str | None:
    # Before the view: after it the connection may be broken, and hide why the view failed.
    try:
        return user_id_of(request)
    except Error:
        return _UNKNOWN


async def _auser_of(request: Any) -> str | None:
    try:
        return await auser_id_of(request)
    except Error:
        return _UNKNOWN


def _status_of(error: Exception) -> int:
    # What the REST framework raises says it itself.
    return int(getattr(error, "status_code", 0) or as_app_exception(error).status_code)


def _body_of(request: HttpRequest) -> str:
    kind = (request.content_type or "no type").encode("ascii", "backslashreplace").decode()
    length = request.META.get("CONTENT_LENGTH") or "unknown"
    reader = {"application/json": _json, "application/x-www-form-urlencoded": _form}.get(kind)
    is_small = length.isascii() and length.isdigit() and len(length) < 16
    if reader and is_small and int(length) <= _MAX_BODY:
        try:
            return _shown(reader(request))
        except (ValueError, RecursionError, RawPostDataException, SuspiciousOperation):
            pass  # not what its type says, or read already: its type and size are all there is
    return f"<{kind}, {length if is_small else 'unknown'} bytes>"


def _json(request: HttpRequest) -> Any:
    return json.loads(request.body)


def _form(request: HttpRequest) -> Any:
    return dict(QueryDict(request.body, encoding=request.encoding).lists())


def _shown(value: Any) -> str:
    text = json.dumps(_redacted(value))
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: REDACTED if is_secret(k) else _redacted(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return value
