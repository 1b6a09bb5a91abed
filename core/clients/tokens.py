"""Where a token comes from: the caller, the settings, or a provider that issues them."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from inspect import iscoroutinefunction, isroutine
from typing import Any
from weakref import WeakSet

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.utils.module_loading import import_string

from core.clients import headers as header
from core.exceptions import AppException, ExternalServiceError, ServiceTimeoutError

_log = logging.getLogger(__name__)

# A token is replaced so many seconds before its end, since a call takes time and clocks differ.
EARLY_SECONDS = 10.0
_CALL = "__call__"


@dataclass(frozen=True, slots=True)
class Token:
    """What a provider may return instead of a plain text, which never expires."""

    value: str = field(repr=False)
    expires_in: float | None = None

    def __post_init__(self) -> None:
        seconds = self.expires_in
        if seconds is not None and not (_is_number(seconds) and 0 <= seconds < math.inf):
            raise ValueError(f"Token(expires_in={seconds!r}): give seconds from 0, or None")


Provider = Callable[[], Any]

# Whose tokens are being issued here; a provider that needed its own would wait for itself.
_issuing: ContextVar[tuple[TokenSource, ...]] = ContextVar("signalbox_issuing", default=())


class TokenSource:
    """Tokens from a provider: kept until they expire, issued once at a time however many ask.

    A provider is a function, sync or async, that returns a text, a Token, or None to send none.
    What it raises becomes an ExternalServiceError. A sync one has to bound its own time; whoever
    else needs the token meanwhile waits until the deadline of the call.
    """

    def __init__(self, provider: Provider) -> None:
        if not callable(provider):
            raise TypeError(f"token provider {type(provider).__name__}: give a function")
        self._provider = provider
        # An object that is called counts by its method.
        call = provider if isroutine(provider) else getattr(provider, _CALL, provider)
        self._is_async = iscoroutinefunction(call) or iscoroutinefunction(provider)
        self._value: str | None = None
        self._issue: Issue | None
        self._issued: str | None = None
        self._expires_at = float("inf")
        self._after_fork()
        _sources.add(self)

    def get(self, stale: str | None = None, ends_at: float = math.inf) -> str:
        """Return a token that is not this stale one, until `ends_at` (monotonic seconds)."""
        while (kept := self._kept(stale)) is None:
            issue, mine = self._begin()
            if mine:
                with self._settling(issue):
                    issued = async_to_sync(self._provider)() if self._is_async else self._provider()
                    return self._keep(issued)
            try:
                result = issue.result(_left(ends_at))
            except TimeoutError:
                raise _not_in_time() from None
            if result is not None:
                return _shared(result)
        return kept

    async def aget(self, stale: str | None = None, ends_at: float = math.inf) -> str:
        """Do as `get` without blocking the event loop or one of its threads while waiting."""
        while (kept := self._kept(stale)) is None:
            issue, mine = self._begin()
            try:
                async with asyncio.timeout(_left(ends_at)):
                    if mine:
                        with self._settling(issue):
                            return self._keep(await self._asked())
                    result = await asyncio.wrap_future(issue)
            except TimeoutError:
                raise _not_in_time() from None
            if result is not None:
                return _shared(result)
        return kept

    async def _asked(self) -> Any:
        if self._is_async:
            return await self._provider()
        return await sync_to_async(self._provider, thread_sensitive=False)()

    def _kept(self, stale: str | None) -> str | None:
        value = self._value
        if value is None or value == stale or time.monotonic() >= self._expires_at:
            return None
        return value

    def _begin(self) -> tuple[Issue, bool]:
        """Return the issue under way, and whether it is the caller who has to do it."""
        if self in _issuing.get() and self._issue is not None:
            raise _unavailable(
                "the provider calls with the token that it is to issue; give its call token=''"
            )
        with self._lock:
            if self._issue is not None:
                return self._issue, False
            self._issue = Future()
            # Nobody who stops waiting takes it from the others.
            self._issue.set_running_or_notify_cancel()
            return self._issue, True

    @contextmanager
    def _settling(self, issue: Issue) -> Iterator[None]:
        """Turn what goes wrong into errors of ours, and tell those who wait how it ended."""
        failed: AppException | None = None
        self._issued = None
        former = _issuing.set((*_issuing.get(), self))
        try:
            yield
        except AppException as error:
            failed = error
            raise
        except Exception as error:
            # Where it happened, but not its text, which may be secret.
            failed = _unavailable(f"the provider raised {type(error).__name__} {_place(error)}")
            raise failed from None
        finally:
            _issuing.reset(former)
            with self._lock:
                self._issue = None
                issue.set_result(failed or self._issued)

    def _keep(self, issued: Any) -> str:
        token = issued if isinstance(issued, Token) else Token(issued)
        if token.value is None:
            _log.debug("The token provider returned none; the call goes without")
            # Not kept: there may be one the next time.
            self._issued = ""
            return ""
        if not isinstance(token.value, str) or not token.value:
            kind = "an empty text" if token.value == "" else type(token.value).__name__
            raise _unavailable(f"the provider returned {kind}")
        if not _is_sendable(token.value):
            raise _unavailable("the provider's has characters that cannot stand in a header")
        lasts = math.inf if token.expires_in is None else token.expires_in - EARLY_SECONDS
        self._value, self._expires_at = token.value, time.monotonic() + lasts
        self._issued = token.value
        return token.value

    def _after_fork(self) -> None:
        # Whoever was issuing one does not exist in the child.
        self._lock = threading.Lock()
        self._issue = None


# Done with the token, the error, or None when who was to issue it has given up.
Issue = Future[AppException | str | None]

_sources: WeakSet[TokenSource] = WeakSet()


def _after_fork() -> None:
    for source in _sources:
        source._after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _left(ends_at: float) -> float | None:
    return None if ends_at == math.inf else max(0.0, ends_at - time.monotonic())


def _not_in_time() -> ServiceTimeoutError:
    return ServiceTimeoutError("no token in time")


def _unavailable(why: str) -> ExternalServiceError:
    return ExternalServiceError(f"no token: {why}", code="TOKEN_UNAVAILABLE")


def _shared(result: AppException | str) -> str:
    if isinstance(result, str):
        return result
    # A copy, since each thread that raises one adds to its traceback.
    raise copy(result)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_sendable(token: str) -> bool:
    return header.fits(token) and not any(c in token for c in " \t")


class FixedToken:
    """A token that stays what it is; the empty one sends no header."""

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"token is {type(value).__name__}; give a text, or '' for none")
        if not _is_sendable(value):
            # Without the value, which is a secret.
            raise ValueError("token has characters that cannot stand in a header")
        self._value = value

    def get(self, stale: str | None = None, ends_at: float = math.inf) -> str:
        """Return the token."""
        return self._value

    async def aget(self, stale: str | None = None, ends_at: float = math.inf) -> str:
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
