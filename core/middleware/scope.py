"""The context of a request: it ends with the request, whichever middleware of ours comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase

from core.context import Context, current_context, set_context, using_context

_MARK = "_signalbox_scope"


class RequestScope:
    """Puts the former context back at the end of the outermost block for a request.

    What inner ones set stays until then, so that outer middleware can still tell who it was.
    """

    __slots__ = ("_former", "_request")

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._former: Context | None = None

    def __enter__(self) -> Self:
        if not hasattr(self._request, _MARK):
            setattr(self._request, _MARK, True)
            self._former = current_context()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._former is not None:
            set_context(self._former)
            delattr(self._request, _MARK)

    def kept_in(self, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response; one that is yet to be produced keeps the context for that."""
        is_stream = getattr(response, "streaming", False) and not isinstance(response, FileResponse)
        if self._former is not None and is_stream:
            _keep(response, current_context())
        return response


def _keep(response: Any, context: Context) -> None:
    chunks = response.streaming_content
    wrapped = _later(chunks, context) if response.is_async else _one_by_one(chunks, context)
    response.streaming_content = wrapped


def _one_by_one(chunks: Iterator[bytes], context: Context) -> Iterator[bytes]:
    # The server's thread does other things between two chunks.
    while True:
        with using_context(context):
            chunk = next(chunks, None)
            context = current_context()
        if chunk is None:
            return
        yield chunk


async def _later(chunks: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    while True:
        with using_context(context):
            chunk = await anext(chunks, None)
            context = current_context()
        if chunk is None:
            return
        yield chunk
