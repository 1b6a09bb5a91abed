"""Tells what requests there were, for analytics and metrics: a signal, and nothing more.

    MIDDLEWARE = [..., "core.middleware.analytics.AnalyticsMiddleware", ...]

Who listens to `core.signals.user_activity.request_measured` decides what becomes of it. Addresses
that begin with one of `ANALYTICS_EXCLUDED_PATHS`, such as those of health checks, are left out.
"""

from __future__ import annotations

import logging
import time
from asyncio import CancelledError
from collections.abc import Callable
from functools import cache as once
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.context import current_context
from core.middleware.base import Middleware
from core.middleware.known_user import known_user_id
from core.plain_signals import tell
from core.signals.user_activity import request_measured

logger = logging.getLogger(__name__)

# What web servers write down for a client that went away before it got an answer.
_CLIENT_GONE = 499
# A client may make up any other.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

Facts = dict[str, Any]


class AnalyticsMiddleware(Middleware):
    """Sends `request_measured` after each request; after the last byte of a streamed answer."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._excluded = tuple(getattr(settings, "ANALYTICS_EXCLUDED_PATHS", ()))

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response: HttpResponseBase = self.get_response(request)
        self._measure(request, response, started)
        return response

    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        try:
            response: HttpResponseBase = await self.get_response(request)
        except CancelledError:
            if self._is_wanted(request):
                self._send(_facts(request, _CLIENT_GONE), started)
            raise
        self._measure(request, response, started)
        return response

    def _measure(self, request: HttpRequest, response: HttpResponseBase, started: float) -> None:
        if not self._is_wanted(request):
            return
        try:
            facts = _facts(request, response.status_code)
        except Exception:
            logger.exception("A request could not be measured")
            return
        if response.streaming:
            # Servers close every response, however far they got with it; some twice.
            closers: list[Callable[[], None]] = vars(response)["_resource_closers"]
            closers.append(once(partial(self._send, facts, started)))
        else:
            self._send(facts, started)

    def _is_wanted(self, request: HttpRequest) -> bool:
        return bool(request_measured.receivers) and not request.path_info.startswith(self._excluded)

    def _send(self, facts: Facts, started: float) -> None:
        facts["duration_ms"] = round((time.perf_counter() - started) * 1000, 3)
        tell(request_measured, type(self), facts=facts)


def _facts(request: HttpRequest, status: int) -> Facts:
    context = current_context()
    match = request.resolver_match
    return {
        "method": request.method if request.method in _METHODS else "OTHER",
        "route": match.route if match else None,
        "status": status,
        "duration_ms": 0.0,
        "user_id": known_user_id(request),
        "tenant_id": context.tenant_id,
        "correlation_id": context.correlation_id,
    }
