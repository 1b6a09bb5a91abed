"""Responses that are kept for a while and served again."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.http import HttpResponse, HttpResponseBase
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from core.context import current_context
from core.csp import get_nonce
from core.decorators.calls import (
    Args,
    F,
    Kwargs,
    auser_id_of,
    name_of,
    require_number,
    require_request,
    user_id_of,
    wrapped,
)

logger = logging.getLogger(__name__)

_METHODS = ("GET", "HEAD")
_PREFIX = re.compile(r"[!-~]{0,80}")  # what every cache takes as part of a key
_FORBIDDING = ("private", "no-store", "no-cache")
# What is true of one request only.
_NOT_KEPT = frozenset({"ratelimit", "ratelimit-policy", "age", "date"})


def cache_response(timeout: int = 300, key_prefix: str = "") -> Callable[[F], F]:
    """Keep a view's response for `timeout` seconds and serve it again without calling the view.

    Kept are responses with status 200 to GET and HEAD, for the same function, host, path, query,
    user (when logged in), tenant, roles of the context, language, time zone and request headers
    that `Vary` names. Not kept are those that stream, set a cookie, use the session, a CSRF token
    or the nonce of a Content-Security-Policy, vary on everything or say `Cache-Control: private`,
    `no-store` or `no-cache`, nor those for an `Authorization` header that no user stands behind.
    A cache that is down costs speed only. Checks of permission belong above this decorator. Raises
    TypeError or ValueError for bad options, and TypeError when the function gets no request.
    """
    if callable(timeout):
        raise TypeError("write @cache_response() with parentheses")
    require_number("timeout", timeout, least=1, whole=True)
    if not isinstance(key_prefix, str):
        raise TypeError(f"key_prefix must be a text, got {key_prefix!r}")
    if not _PREFIX.fullmatch(key_prefix):
        raise ValueError(
            f"key_prefix must be at most 80 visible ASCII characters, got {key_prefix!r}"
        )

    def decorate(function: F) -> F:
        path = name_of(function)

        def sync(args: Args, kwargs: Kwargs) -> Any:
            request = require_request(function, args, kwargs)
            user_id = user_id_of(request)
            if not _may_ask(request, user_id):
                return function(*args, **kwargs)
            key = _key(request, key_prefix, path, user_id)
            kept = _read(request, key)
            if kept is not None:
                return kept
            with _WatchedSession(request) as session:
                response = function(*args, **kwargs)
            _keep_later(request, response, key, timeout, session)
            return response

        async def coroutine(args: Args, kwargs: Kwargs) -> Any:
            request = require_request(function, args, kwargs)
            user_id = await auser_id_of(request)
            if not _may_ask(request, user_id):
                return await function(*args, **kwargs)
            key = _key(request, key_prefix, path, user_id)
            kept = await sync_to_async(_read)(request, key)
            if kept is not None:
                return kept
            with _WatchedSession(request) as session:
                response = await function(*args, **kwargs)
            await sync_to_async(_keep_later)(request, response, key, timeout, session)
            return response

        return wrapped(function, sync=sync, coroutine=coroutine)

    return decorate


def _may_ask(request: Any, user_id: str | None) -> bool:
    is_someones = user_id is None and "Authorization" in request.headers
    return request.method in _METHODS and not is_someones


class _WatchedSession:
    """Tells whether a view, or the template of its response, has used the session."""

    def __init__(self, request: Any) -> None:
        self._session = getattr(request, "session", None)
        self._before = getattr(self._session, "accessed", False)

    def __enter__(self) -> _WatchedSession:
        self._set(False)
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            self.was_used()

    def was_used(self) -> bool:
        """Return the answer, and give the session back the note that it was read before."""
        used = bool(getattr(self._session, "accessed", False))
        # With it Django says `Vary: Cookie` to the world outside.
        self._set(used or self._before)
        return used

    def _set(self, accessed: bool) -> None:
        if self._session is not None:
            self._session.accessed = accessed


def _key(request: Any, prefix: str, path: str, user_id: str | None) -> str:
    parts = [
        path,
        request.method,
        request.build_absolute_uri(),
        user_id,
        current_context().tenant_id,
        current_context().roles,
        getattr(request, "LANGUAGE_CODE", None) or get_language(),
        get_current_timezone_name(),
    ]
    return f"response:{prefix}:{_digest(parts)}"


def _variant(request: Any, key: str, names: list[str]) -> str:
    return f"{key}:{_digest([[name, request.headers.get(name)] for name in names])}"


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(request: Any, key: str) -> HttpResponse | None:
    names = _tried(lambda: cache.get(key))
    if names is None:
        return None
    kept = _tried(lambda: cache.get(_variant(request, key, names)))
    return None if kept is None else HttpResponse(kept["content"], headers=kept["headers"])


def _keep_later(
    request: Any, response: Any, key: str, timeout: int, session: _WatchedSession
) -> None:
    def keep(rendered: Any) -> None:
        if not session.was_used() and _may_keep(request, rendered):
            _keep(request, rendered, key, timeout)

    if hasattr(response, "add_post_render_callback"):
        # Called at once if it is rendered already.
        response.add_post_render_callback(keep)
    else:
        keep(response)


def _may_keep(request: Any, response: Any) -> bool:
    if not isinstance(response, HttpResponseBase) or response.streaming:
        return False
    control = response.get("Cache-Control", "").lower()
    session = getattr(request, "session", None)
    return (
        response.status_code == 200
        and not response.cookies
        and "Set-Cookie" not in response
        and not any(word in control for word in _FORBIDDING)
        and "*" not in response.get("Vary", "")
        and not getattr(session, "modified", False)
        and not request.META.get("CSRF_COOKIE_NEEDS_UPDATE")
        and not get_nonce(request)
    )


def _keep(request: Any, response: HttpResponse, key: str, timeout: int) -> None:
    varying = {name.strip().lower() for name in response.get("Vary", "").split(",")}
    names = sorted(varying - {""})
    headers = {k: v for k, v in response.items() if k.lower() not in _NOT_KEPT}
    kept = {"content": response.content, "headers": headers}
    _tried(lambda: cache.set_many({_variant(request, key, names): kept, key: names}, timeout))


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        # Each cache backend has errors of its own; whatever it is, the view knows the answer.
        logger.warning("the cache of responses is not available: %r", error)
        return None
