"""Bounding a handler call by its lease."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from core.events.errors import LeaseExpired


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise LeaseExpired when the block takes longer than this.

    In a main thread (prefork and solo pools, commands) a timer interrupts the block. Elsewhere it
    cannot be interrupted, and the error comes at its end.
    """
    started = time.monotonic()
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        with _alarm(seconds):
            yield
    else:
        yield
    if time.monotonic() - started > seconds:
        raise LeaseExpired(
            f"the handler took {time.monotonic() - started:.1f} s; its lease is {seconds:g} s"
        )


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def expire(signum: int, frame: FrameType | None) -> None:
        raise LeaseExpired(f"the handler took longer than its lease of {seconds:g} s")

    former_handler = signal.signal(signal.SIGALRM, expire)
    former_delay, former_interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    started = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former_handler)
        if former_delay:
            # Somebody else's timer, such as a test runner's: it goes on with what it had left.
            left = max(former_delay - (time.monotonic() - started), 0.001)
            signal.setitimer(signal.ITIMER_REAL, left, former_interval)
