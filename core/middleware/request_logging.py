"""One record for each request: what was asked, what came of it, how long it took, and by whom.

MIDDLEWARE = [..., "core.middleware.request_logging.RequestLoggingMiddleware", ...]

It stands outside of whatever shall be measured, and inside of `RequestContextMiddleware`, whose
correlation id the record carries.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path

from core.context import current_context, using_context
from core.helpers import get_client_ip
from core.middleware.base import Middleware
from core.middleware.known_user import known_user_id
from core.request_logs.conf import conf
from core.utils.logger import log_api_request

logger = logging.getLogger(__name__)

# Characters; what is longer no reader needs.
_LONGEST_PATH = 2000
_LONGEST_NAME = 200
_LONGEST_METHOD = 20
# Seconds between two lines about records that could not be made.
_COMPLAIN_EVERY = 60.0


class RequestLoggingMiddleware(Middleware):
    """Logs each request by `log_api_request`, when its response has ended.

    A record has the path without its query, and never a body. A request whose path begins with one
    of `REQUEST_LOG_EXCLUDED_PATHS`, or that `@log_request` has logged, is left out. Whatever goes
    wrong here leaves the response as it is.
    """

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        measured = _Measured(request)
        try:
            response = self.get_response(request)
        except BaseException:
            measured.broken_off()
            raise
        return measured.answered(response)

    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        measured = _Measured(request)
        try:
            response = await self.get_response(request)
        except BaseException:
            # Also when the client has gone: the task of the request is cancelled.
            measured.broken_off()
            raise
        return measured.answered(response)


class _Measured:
    """A request whose time runs; it is logged once, at the end."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._began = time.perf_counter()
        self._is_logged = False
        self._context = current_context()
        self._status: int | None = None
        self._bytes: int | None = None

    def answered(self, response: HttpResponseBase) -> HttpResponseBase:
        """Log the request now, or at the end of the stream; return the response."""
        self._context = current_context()
        self._status = response.status_code
        try:
            if response.streaming:
                self._follow(response)
            else:
                self._bytes = len(response.content)  # type: ignore[attr-defined]  # no stream
                self._log()
        except Exception:
            _complain()
        return response

    def broken_off(self) -> None:
        """Log a request that gets no response from here."""
        self._context = current_context()
        self.cut_short()

    def cut_short(self) -> None:
        """Log a request whose response did not come to its end, unless it is logged already."""
        self._log(complete=False)

    def _follow(self, response: Any) -> None:
        closers: list[Callable[[], None]] = response._resource_closers
        if isinstance(response, FileResponse):
            # The server may send the file itself, which it could not with an iterator around it.
            length = response.headers.get("Content-Length", "")
            self._bytes = int(length) if length.isdigit() else None
            closers.append(self._log)
        else:
            self._bytes = 0
            wrap = self._counted_later if response.is_async else self._counted
            response.streaming_content = wrap(response.streaming_content)
            # When the client goes before the end, closing is all that happens.
            closers.append(self.cut_short)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._count(chunk)
            yield chunk
        self._log()

    async def _counted_later(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._count(chunk)
            yield chunk
        self._log()

    def _count(self, chunk: bytes) -> None:
        self._bytes = (self._bytes or 0) + len(chunk)

    def _log(self, **extra: Any) -> None:
        if self._is_logged:
            return
        self._is_logged = True
        try:
            request = self._request
            if getattr(request, "is_logged", False) or request.path_info.startswith(conf.excluded):
                return
            with using_context(self._context):
                log_api_request(
                    method=(request.method or "")[:_LONGEST_METHOD],
                    path=escape_uri_path(request.path)[:_LONGEST_PATH],
                    status=self._status,
                    duration=time.perf_counter() - self._began,
                    user_id=known_user_id(request),
                    **_place(request),
                    bytes=self._bytes,
                    **extra,
                )
        except Exception:
            _complain()


def _place(request: HttpRequest) -> dict[str, Any]:
    """Return where the request led, and where it came from if that is wanted."""
    match = request.resolver_match
    place: dict[str, Any] = {"route": None, "view": None}
    if match is not None:
        place["route"] = str(match.route or "/")[:_LONGEST_NAME]
        place["view"] = match.view_name[:_LONGEST_NAME]
    if conf.client_address:
        place["client"] = get_client_ip(request)
    return place


class _Complaints:
    """How many records could not be made, said once a minute."""

    def __init__(self) -> None:
        self.number = 0
        self._said_at = -_COMPLAIN_EVERY

    def __call__(self) -> None:
        """Count one, within an except clause."""
        self.number += 1
        if time.monotonic() - self._said_at >= _COMPLAIN_EVERY:
            self._said_at = time.monotonic()
            logger.exception("a request was not logged (%d so far)", self.number)


_complain = _Complaints()
