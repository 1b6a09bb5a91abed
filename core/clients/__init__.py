"""The HTTP client for calls to other services: bounded in time, retried, traced, without leaks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.clients.breaker import CircuitState, circuits
from core.clients.signals import circuit_changed, external_call_finished
from core.clients.synchronous import HTTPClient
from core.clients.tokens import Token
from core.events.retry import Backoff

if TYPE_CHECKING:
    from core.clients.asynchronous import AsyncHTTPClient

HttpClient = HTTPClient

__all__ = [
    "AsyncHTTPClient",
    "Backoff",
    "CircuitState",
    "HTTPClient",
    "HttpClient",
    "Token",
    "circuit_changed",
    "circuits",
    "external_call_finished",
]


def __getattr__(name: str) -> Any:
    if name == "AsyncHTTPClient":
        # On first use: most processes never need httpx, which is slow to import.
        return import_module("core.clients.asynchronous").AsyncHTTPClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
