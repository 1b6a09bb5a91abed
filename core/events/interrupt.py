"""Bounding a handler call by its lease."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from django.db import connections

from core.events.errors import LeaseExpired

# Seconds that cancelling a statement may take.
_PATIENCE = 2.0
# Seconds after which an interruption comes again, as long as the block goes on all the same: it may
# have come where every exception is caught, such as in a library that writes a log.
_AGAIN = 1.0


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise LeaseExpired when the block takes longer than this.

    In a main thread (prefork and solo pools, commands) a timer interrupts the block. Elsewhere it
    cannot be interrupted, and the error comes at its end.
    """
    started = time.monotonic()
    try:
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
            with _alarm(seconds):
                yield
        else:
            yield
        taken = time.monotonic() - started
        if taken > seconds:
            raise LeaseExpired(f"the handler took {taken:.1f} s; its lease is {seconds:g} s")
    except LeaseExpired:
        _abandon_statements()
        raise


def _abandon_statements() -> None:
    """Cancel what an interruption left running in a database, and give up that connection.

    psycopg does so itself for KeyboardInterrupt only; after any other exception from a signal the
    connection would refuse every statement to come.
    """
    for connection in connections.all(initialized_only=True):
        native = connection.connection
        if connection.vendor != "postgresql" or native is None:
            continue
        # Only here: it takes a while to import, and SQLite does without.
        from psycopg.pq import TransactionStatus

        if native.info.transaction_status == TransactionStatus.ACTIVE:
            native.cancel_safe(timeout=_PATIENCE)
            # Django closes it at the end of the transaction, whose rollback finds it unusable.
            if not connection.in_atomic_block:
                connection.close()


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    armed = True

    def expire(signum: int, frame: FrameType | None) -> None:
        # An alarm that comes while this is being put away says nothing that its end will not.
        if armed:
            raise LeaseExpired(f"the handler took longer than its lease of {seconds:g} s")

    former_delay, former_interval = signal.setitimer(signal.ITIMER_REAL, 0)
    former_handler = signal.signal(signal.SIGALRM, expire)
    started = time.monotonic()
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
            yield
        finally:
            # Should the alarm come just before this, the outer clean-up is still done.
            armed = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former_handler)
        if former_delay:
            # Somebody else's timer, such as a test runner's: it goes on with what it had left.
            left = max(former_delay - (time.monotonic() - started), 0.001)
            signal.setitimer(signal.ITIMER_REAL, left, former_interval)
