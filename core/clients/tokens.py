"""Where a token comes from: the caller, the settings, or a provider that issues them."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.utils.module_loading import import_string

from core.exceptions import AppException, ExternalServiceError

# A token is replaced so many seconds before its end, since a call takes time and clocks differ.
EARLY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Token:
    """What a provider may return instead of a plain text, which never expires."""

    value: str = field(repr=False)
    expires_in: float | None = None


Provider = Callable[[], Any]


class TokenSource:
    """Tokens from a provider: kept until they expire, issued once at a time however many ask.

    A provider is a function, sync or async, that returns a text or a Token. What it raises becomes
    an ExternalServiceError.
    """

    def __init__(self, provider: Provider) -> None:
        if not callable(provider):
            raise TypeError(f"token provider {type(provider).__name__}: give a function")
        self._provider = provider
        self._is_async = inspect.iscoroutinefunction(provider)
        self._lock = threading.Lock()
        self._value: str | None = None
        self._expires_at = float("inf")

    def get(self, stale: str | None = None) -> str:
        """Return a token that is not this stale one."""
        kept = self._kept(stale)
        if kept is not None:
            return kept
        with self._lock:
            kept = self._kept(stale)
            return kept if kept is not None else self._renew()

    async def aget(self, stale: str | None = None) -> str:
        """Do as `get` without blocking the event loop."""
        kept = self._kept(stale)
        # One lock for threads and event loops alike, waited for in a thread.
        return (
            kept
            if kept is not None
            else await sync_to_async(self.get, thread_sensitive=False)(stale)
        )

    def _kept(self, stale: str | None) -> str | None:
        value = self._value
        if value is None or value == stale or time.monotonic() >= self._expires_at:
            return None
        return value

    def _renew(self) -> str:
        try:
            issued = async_to_sync(self._provider)() if self._is_async else self._provider()
        except AppException:
            raise
        except Exception as error:
            raise ExternalServiceError(
                f"no token: the provider raised {type(error).__name__}", code="TOKEN_UNAVAILABLE"
            ) from error
        token = issued if isinstance(issued, Token) else Token(issued)
        if not isinstance(token.value, str) or not token.value:
            raise ExternalServiceError(
                f"no token: the provider returned {type(token.value).__name__}, not a text",
                code="TOKEN_UNAVAILABLE",
            )
        lasts = float("inf") if token.expires_in is None else token.expires_in - EARLY_SECONDS
        self._value, self._expires_at = token.value, time.monotonic() + lasts
        return token.value


class FixedToken:
    """A token that stays what it is; the empty one sends no header."""

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"token is {type(value).__name__}; give a text, or '' for none")
        if not value.isprintable() or not value.isascii() or " " in value:
            # Without the value, which is a secret.
            raise ValueError("token has characters that cannot stand in a header")
        self._value = value

    def get(self, stale: str | None = None) -> str:
        """Return the token."""
        return self._value

    async def aget(self, stale: str | None = None) -> str:
        """Return the token."""
        return self._value


Source = TokenSource | FixedToken


def source_of(token: str | Provider | None) -> Source:
    """Return the source for what a client or a call was given; None is what the settings say."""
    if token is None:
        return _configured(
            getattr(settings, "SERVICE_AUTH_TOKEN", ""),
            getattr(settings, "SERVICE_TOKEN_PROVIDER", ""),
        )
    return FixedToken(token) if isinstance(token, str) else TokenSource(token)


@cache
def _configured(token: str, provider: str) -> Source:
    # Cached, so that all clients share what the provider issued.
    return TokenSource(import_string(provider)) if provider else FixedToken(token)
