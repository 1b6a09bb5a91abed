"""Gives each request a context of its own, and a correlation id by which it can be followed.

MIDDLEWARE = ["core.middleware.request_context.RequestContextMiddleware", ...]
"""

from __future__ import annotations

import uuid_utils
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.context import Context, set_context
from core.middleware.base import Middleware
from core.middleware.scope import RequestScope
from core.tracing import CORRELATION, is_correlation_id, trace_in


class RequestContextMiddleware(Middleware):
    """Begins a new context for a request, and ends it with the response.

    The correlation id is that of `X-Correlation-ID` or `X-Request-ID` if it is well-formed, else
    the trace id of a W3C `traceparent`, else a new one; `X-Correlation-ID` of the response tells
    it. The trace is continued by calls to other services.
    """

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        with RequestScope(request) as scope:
            correlation_id = _begin(request)
            response = self.get_response(request)
            return scope.kept_in(_told(response, correlation_id))

    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        with RequestScope(request) as scope:
            correlation_id = _begin(request)
            response = await self.get_response(request)
            return scope.kept_in(_told(response, correlation_id))


def _begin(request: HttpRequest) -> str:
    traceparent = request.META.get("HTTP_TRACEPARENT")
    trace = trace_in(traceparent) if traceparent else None
    trace_id = trace.partition("-")[0] if trace else None
    correlation_id = _given(request) or trace_id or str(uuid_utils.uuid4())
    set_context(Context(correlation_id=correlation_id, trace=trace))
    # For what Django logs about the request when all middleware is done.
    request.correlation_id = correlation_id  # type: ignore[attr-defined]  # our mark
    return correlation_id


def _given(request: HttpRequest) -> str | None:
    for name in ("HTTP_X_CORRELATION_ID", "HTTP_X_REQUEST_ID"):
        value: str = request.META.get(name, "")
        if value and is_correlation_id(value):
            return value
    return None


def _told(response: HttpResponseBase, correlation_id: str) -> HttpResponseBase:
    response.headers[CORRELATION] = correlation_id
    return response
