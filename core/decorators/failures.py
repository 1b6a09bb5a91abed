"""Exceptions on record: logged once, then raised as they were."""

from __future__ import annotations

import logging
from typing import Any

from core.decorators.calls import Args, F, Kwargs, name_of, wrapped

logger = logging.getLogger(__name__)


def standard_exception_handler(function: F) -> F:
    """Log every exception of the function with its traceback, once, and raise it unchanged.

    An exception that passes several decorated functions is logged by the innermost. What is not
    an error, such as the cancellation of a task, is not logged.
    """

    def sync(args: Args, kwargs: Kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            _log(function, error)
            raise

    async def coroutine(args: Args, kwargs: Kwargs) -> Any:
        try:
            return await function(*args, **kwargs)
        except Exception as error:
            _log(function, error)
            raise

    return wrapped(function, sync=sync, coroutine=coroutine)


def _log(function: Any, error: Exception) -> None:
    if vars(error).get("_is_logged"):
        return
    vars(error)["_is_logged"] = True
    logger.error("%s raised %s", name_of(function), type(error).__name__, exc_info=error)
