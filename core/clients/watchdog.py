"""Ends what takes too long: the one way to bound a blocking read from a server that trickles.

A socket's timeout starts anew with every byte, so a reply of one byte a second never ends. One
thread of the process shuts down the connections whose time is over; the read then fails.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

# Nobody waits for so long, in seconds; an entry without an end would never leave the heap.
_LONGEST = 86_400.0


# For the moments in which a wire changes hands. Reentrant, since the garbage collector may close a
# connection at any point, also in one of those moments.
_hands = threading.RLock()


class Limit:
    """The time of one exchange; `wire` is the connection that carries it, once there is one."""

    __slots__ = ("ends_at", "expired", "wire")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.wire: Wire | None = None
        self.expired = False

    def expire(self) -> None:
        """End what the connection carries for this exchange, now or as soon as there is one."""
        with _hands:
            self.expired = True
            if self.wire is not None:
                self.wire.shut_down()

    def release(self) -> None:
        """Leave the connection, if there is one."""
        with _hands:
            if self.wire is not None:
                self.wire.rest()


class Wire:
    """A hold on a connection, also when TLS has taken its socket over or urllib3 has let it go.

    It carries one exchange at a time, and only that one's limit may shut it down.
    """

    __slots__ = ("_limit", "_parting", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock.dup()
        self._limit: Limit | None = None
        self._parting = False

    def carry(self, limit: Limit) -> None:
        """Belong to the exchange of this limit."""
        with _hands:
            if limit.wire is not None and limit.wire is not self:
                limit.wire.rest()
            self._limit, limit.wire = limit, self
            if limit.expired:
                # The time was over before there was a connection.
                self.shut_down()

    def rest(self) -> bool:
        """Belong to none; tell whether the connection was left whole."""
        with _hands:
            limit, self._limit = self._limit, None
            if limit is not None:
                limit.wire = None
            if self._parting:
                self._sock.close()
            return limit is None or not limit.expired

    def close(self) -> None:
        """Let the connection go; at once, or after the exchange whose answer is still read.

        A connection that the server is to close is let go before its last answer is read.
        """
        with _hands:
            self._parting = True
            if self._limit is None:
                self._sock.close()

    def shut_down(self) -> None:
        """End whatever is being read or written."""
        # The other side may have ended it just now.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """The limits of this process and the thread that enforces them."""

    def __init__(self) -> None:
        self._numbers = count()
        self.after_fork()

    def after_fork(self) -> None:
        """Start afresh: the thread does not survive a fork."""
        self._changed = threading.Condition(threading.Lock())
        self._heap: list[tuple[float, int, Limit]] = []
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    @contextmanager
    def limit(self, ends_at: float) -> Iterator[Limit]:
        """Shut down, when the time is over, the connection that carries what the block does."""
        limit = Limit(min(ends_at, time.monotonic() + _LONGEST))
        self._add(limit)
        try:
            yield limit
        finally:
            # Left in the heap until its time: taking it out would cost more.
            if limit.wire is not None:
                limit.release()

    def _add(self, limit: Limit) -> None:
        with self._changed:
            heapq.heappush(self._heap, (limit.ends_at, next(self._numbers), limit))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="http-watchdog", daemon=True)
                self._thread.start()
            elif limit.ends_at < self._wakes_at:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            for limit in self._over():
                limit.expire()

    def _over(self) -> list[Limit]:
        with self._changed:
            while not self._heap or self._heap[0][0] > time.monotonic():
                wait = self._heap[0][0] - time.monotonic() if self._heap else _LONGEST
                self._wakes_at = time.monotonic() + wait
                self._changed.wait(wait)
            now = time.monotonic()
            over = []
            while self._heap and self._heap[0][0] <= now:
                over.append(heapq.heappop(self._heap)[2])
            # Whoever comes meanwhile need not wake this thread: it looks again.
            self._wakes_at = now
            return over


def _after_fork() -> None:
    global _hands
    _hands = threading.RLock()
    watchdog.after_fork()


watchdog = Watchdog()
os.register_at_fork(after_in_child=_after_fork)
