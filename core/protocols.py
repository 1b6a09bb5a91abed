"""The seams where one implementation may stand in for another: any class with the methods fits.

def get_data(cache: CacheBackend, key: str) -> Any:
    return cache.get(key)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from django.utils.connection import ConnectionProxy


@runtime_checkable
class CacheBackend(Protocol):
    """Keeps values under keys. Every cache of Django is one."""

    def get(self, key: str) -> Any:
        """Return the value, or None where there is none."""

    def set(self, key: str, value: Any, timeout: Any = None) -> Any:
        """Keep the value for so many seconds."""

    def delete(self, key: str) -> Any:
        """Forget the value."""


# `django.core.cache.cache` stands for the default cache and has its methods; from Python 3.12 on
# they must be seen without asking it. The other proxy of the kind is `django.db.connection`.
CacheBackend.register(ConnectionProxy)


@runtime_checkable
class NotificationBackend(Protocol):
    """Takes a message to a person. Every channel of `workers.notifications` is one."""

    @property
    def name(self) -> str:
        """What the channel is called."""

    def send(self, message: Any) -> str:
        """Send and return the provider's id, or raise what went wrong."""


@runtime_checkable
class AnalyticsClient(Protocol):
    """Takes what was measured. The module `workers.analytics.posthog` is one."""

    def send(self, batch: Sequence[dict[str, Any]]) -> None:
        """Send a batch of events, all or none, or raise what went wrong."""


@runtime_checkable
class TokenProvider(Protocol):
    """Hands out the token for calls to another service: any function without arguments."""

    def __call__(self) -> str | None:
        """Return the token, or None to call without one."""
