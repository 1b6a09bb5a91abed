"""The HTTP client for calls to other services: bounded in time, retried, traced, without leaks."""

from core.clients.asynchronous import AsyncHTTPClient
from core.clients.breaker import CircuitState, circuits
from core.clients.signals import circuit_changed, external_call_finished
from core.clients.synchronous import HTTPClient
from core.clients.tokens import Token
from core.events.retry import Backoff

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
