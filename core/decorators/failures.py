"""Exceptions on record: logged once, then raised as they were."""

from __future__ import annotations

from typing import Any

from core.decorators.calls import Args, F, Kwargs, name_of, wrapped
from core.error_responses import log_once


def standard_exception_handler(function: F) -> F:
    """Log every exception of the function with its traceback, once, and raise it unchanged.

    An exception that passes several decorated functions is logged by the innermost, and not again
    by whoever answers the request. What is not an error, such as the cancellation of a task, is
    not logged.
    """

    def sync(args: Args, kwargs: Kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            log_once(error, name_of(function))
            raise

    async def coroutine(args: Args, kwargs: Kwargs) -> Any:
        try:
            return await function(*args, **kwargs)
        except Exception as error:
            log_once(error, name_of(function))
            raise

    return wrapped(function, sync=sync, coroutine=coroutine)
