"""What every middleware of ours has in common: it works under WSGI, and natively under ASGI."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Middleware(ABC):
    """Serves requests with `serve`, or with `aserve` where what comes next is a coroutine.

    Both get the response from `self.get_response(request)`, which `aserve` has to await.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self.aserve(request) if self._is_async else self.serve(request)

    @abstractmethod
    def serve(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response to a request."""

    @abstractmethod
    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response to a request, in an event loop."""
