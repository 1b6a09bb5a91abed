"""Calls that are repeated when they fail for reasons that may pass."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict

from django.core.exceptions import (
    ImproperlyConfigured,
    ObjectDoesNotExist,
    PermissionDenied,
    ValidationError,
)
from django.http import Http404
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from core.decorators.calls import (
    Args,
    F,
    Kwargs,
    is_async,
    name_of,
    require_number,
    wrapped,
)
from core.exceptions import AppException

logger = logging.getLogger(__name__)

ExceptionTypes = type[Exception] | tuple[type[Exception], ...]

# A mistake in the code, or an answer: the next call would end in the same way.
POINTLESS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    Http404,
    ImportError,
    ImproperlyConfigured,
    NameError,
    NotImplementedError,
    ObjectDoesNotExist,
    PermissionDenied,
    SyntaxError,
    TypeError,
    ValidationError,
)


class _Options(TypedDict, total=False):
    stop: Any
    wait: Any
    retry: Any
    reraise: bool
    sleep: Any


def retry_on_failure(
    max_retries: int = 3,
    backoff_factor: float = 2.0,
    *,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exceptions: ExceptionTypes | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Callable[[F], F]:
    """Repeat a failing call up to `max_retries` times after the first, with growing waits.

    The n-th wait is `base_delay * backoff_factor**n` seconds, n from 0, at most `max_delay`. The
    last exception is raised as it was. `exceptions` are those to repeat for; by default all but
    mistakes in the code (`TypeError`, ...) and answers that will not change (invalid, not found,
    not allowed: every error of `core.exceptions` below status 500). `sleep(seconds)` waits; for
    async functions it may be async. Raises TypeError or ValueError for bad options.
    """
    if callable(max_retries):
        raise TypeError("write @retry_on_failure() with parentheses")
    require_number("max_retries", max_retries, least=0, whole=True)
    require_number("backoff_factor", backoff_factor, least=0)
    require_number("base_delay", base_delay, least=0)
    require_number("max_delay", max_delay, least=0)
    options = _Options(
        stop=stop_after_attempt(max_retries + 1),
        wait=wait_exponential(multiplier=base_delay, exp_base=backoff_factor, max=max_delay),
        retry=retry_if_exception(_predicate(exceptions)),
        reraise=True,
    )
    if sleep is not None and not callable(sleep):
        raise TypeError(f"sleep must be a function of seconds, got {sleep!r}")

    def decorate(function: F) -> F:
        mine = options.copy()
        if sleep is not None:
            mine["sleep"] = _pause(function, sleep)

        def announce(state: RetryCallState) -> None:
            _announce(function, state, max_retries + 1)

        def sync(args: Args, kwargs: Kwargs) -> Any:
            # The library's own parameters must not meet those of the function.
            return Retrying(**mine, before_sleep=announce)(partial(function, *args, **kwargs))

        async def coroutine(args: Args, kwargs: Kwargs) -> Any:
            call = partial(function, *args, **kwargs)
            return await AsyncRetrying(**mine, before_sleep=announce)(call)

        return wrapped(function, sync=sync, coroutine=coroutine)

    return decorate


def _pause(function: Any, sleep: Callable[[float], Any]) -> Callable[[float], Any]:
    if not is_async(function):
        if is_async(sleep):
            raise TypeError(f"sleep is async, but {name_of(function)} is not: nobody would wait")
        return sleep

    async def pause(seconds: float) -> None:
        outcome = sleep(seconds)
        if inspect.isawaitable(outcome):
            await outcome

    return pause


def _predicate(exceptions: ExceptionTypes | None) -> Callable[[BaseException], bool]:
    if exceptions is None:
        return _may_pass
    kinds = exceptions if isinstance(exceptions, tuple) else (exceptions,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"exceptions must be classes of exceptions, got {kind!r}")
    return lambda error: isinstance(error, kinds)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, AppException):
        return error.status_code >= 500
    return isinstance(error, Exception) and not isinstance(error, POINTLESS)


def _announce(function: Any, state: RetryCallState, calls: int) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    logger.warning(
        "%s failed in call %d of %d, again in %.1f s: %r",
        name_of(function),
        state.attempt_number,
        calls,
        wait,
        error,
    )
