"""Uncaught exceptions as lines: what Python would print to standard error as several ones.

On a terminal, where somebody reads them, they stay as Python prints them. Hooks of others, such as
those of pytest and of error trackers, stay where they are.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

_logger = logging.getLogger(__name__)


def log_uncaught() -> None:
    """Write uncaught exceptions of threads and of finalizers as lines.

    That of the main program stays: servers and workers log their own, and what ends a command is
    read by who has called it.
    """
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _ignored


def _of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or _has_reader():
        threading.__excepthook__(args)
        return
    name = args.thread.name if args.thread else "unknown"
    _logger.error(
        "the thread %s has ended by an exception that nobody caught", name, exc_info=args.exc_value
    )


def _ignored(unraisable: Any) -> None:
    if _has_reader():
        sys.__unraisablehook__(unraisable)
        return
    info = (unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback)
    told = {"object": unraisable.object}
    _logger.error(unraisable.err_msg or "Exception ignored in", extra=told, exc_info=info)


def _has_reader() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False
