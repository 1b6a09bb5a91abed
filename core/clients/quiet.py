"""Keeps the libraries' own logs still while they work for the clients here.

httpx logs every address with its query at INFO, urllib3 at DEBUG, and a query may be secret. What
is to be logged of a call is logged by the client itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "urllib3.connectionpool",
    "urllib3.response",
    "urllib3.util.retry",
)

_still: ContextVar[bool] = ContextVar("signalbox_still", default=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what these loggers say in this context until the end of the block."""
    token = _still.set(True)
    try:
        yield
    finally:
        _still.reset(token)


def _passes(record: logging.LogRecord) -> bool:
    return not _still.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_passes)
