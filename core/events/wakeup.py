"""Wake-ups: telling workers that a queue has work, off the caller's path.

A wake-up carries no work, so losing one costs the time until the next sweep and nothing else.
Callers only put a queue's name into a set; a thread gathers what comes within a few milliseconds
and sends one wake-up for each queue. A broker that fails opens a breaker: until it closes again
wake-ups are dropped, and the sweep finds the work.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from celery import current_app
from kombu.connection import Connection

from core.events.conf import conf
from core.events.doorbell import doorbell

logger = logging.getLogger(__name__)

TASK = "events.deliver"

# Seconds that a broker may keep the thread waiting, and that the breaker stays open at first.
_PATIENCE = 1.0
_OPEN_FIRST = 1.0
_OPEN_LONGEST = 5.0
# At the end of a process, so long may what is still to be sent take.
_FAREWELL = 0.3

# After a round of wake-ups the thread rests so many times as long as that took, within reason.
_REST_SHARE = 4
_SHORTEST_REST = 0.002
_LONGEST_REST = 0.01

_NO_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class Breaker:
    """Stops calling what fails, for a time that doubles up to a limit."""

    def __init__(self) -> None:
        self._open_until = 0.0
        self._pause = _OPEN_FIRST

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def failed(self) -> float:
        """Open the breaker; return for how many seconds."""
        pause = self._pause
        self._open_until = time.monotonic() + pause
        self._pause = min(pause * 2, _OPEN_LONGEST)
        return pause

    def succeeded(self) -> None:
        self._open_until = 0.0
        self._pause = _OPEN_FIRST


class Publisher:
    """Sends wake-ups over a broker connection of its own, with time limits of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._producer: Any = None
        self.breaker = Breaker()
        self.dropped = 0

    def publish(self, queues: Iterable[str]) -> bool:
        """Send one delivery task to each queue; return whether the broker took them.

        Never raises because of the broker: a failure is logged, opens the breaker and is counted.
        """
        queues = list(queues)
        with self._lock:
            if self.breaker.is_open:
                self.dropped += len(queues)
                return False
            try:
                for queue in queues:
                    self._send(queue)
            except Exception as error:
                self._give_up(queues, error)
                return False
            self.breaker.succeeded()
            return True

    def _send(self, queue: str) -> None:
        if self._producer is None:
            self._producer = current_app.amqp.Producer(self._connect(), auto_declare=False)
        current_app.send_task(
            TASK,
            kwargs={"queue": queue},
            queue=queue,
            producer=self._producer,
            ignore_result=True,
            retry=False,
        )

    @staticmethod
    def _connect() -> Connection:
        connection: Connection = current_app.connection_for_write(connect_timeout=_PATIENCE)
        connection.transport_options = {
            **(connection.transport_options or {}),
            **_NO_RETRY,
            "socket_timeout": _PATIENCE,
            "socket_connect_timeout": _PATIENCE,
        }
        return connection

    def _give_up(self, queues: list[str], error: Exception) -> None:
        self.dropped += len(queues)
        pause = self.breaker.failed()
        logger.warning(
            "wake-ups for %s were not sent (%s); none for %g s, the sweep finds the work",
            ", ".join(queues),
            type(error).__name__,
            pause,
        )
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.connection.collect()
            except Exception as trouble:
                logger.debug("closing the broker connection failed: %s", type(trouble).__name__)


class Wakeups:
    """Gathers the queues to wake and sends for them from one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._reset()

    def _reset(self) -> None:
        self._due: dict[str, float] = {}
        self._sending = False
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Start afresh: neither threads nor connections survive a fork."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._reset()

    def ring(self, queues: Iterable[str], after: float = 0.0) -> None:
        """Have these queues woken soon, or after so many seconds. Returns at once."""
        at = time.monotonic() + max(after, conf.wakeup_coalesce_seconds)
        with self._changed:
            first = min(self._due.values(), default=None)
            for queue in queues:
                known = self._due.get(queue)
                if known is None or at < known:
                    self._due[queue] = at
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="signalbox-wakeups", daemon=True
                )
                self._thread.start()
            elif first is None or at < first:
                # Otherwise the thread is up in time anyway, and waking it would cost the caller.
                self._changed.notify()

    def flush(self, seconds: float) -> None:
        """Wait until what is due now is sent, for at most so many seconds."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._thread is not None and (self._sending or self._is_due_by(deadline)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _is_due_by(self, moment: float) -> bool:
        return any(at <= moment for at in self._due.values())

    def _run(self) -> None:
        while True:
            queues = self._next()
            started = time.monotonic()
            try:
                self._send(queues)
            except Exception:
                logger.exception("waking %s failed; the sweep finds the work", ", ".join(queues))
            with self._changed:
                self._sending = False
                self._changed.notify_all()
            self._rest(time.monotonic() - started)

    @staticmethod
    def _rest(taken: float) -> None:
        """Leave the processor, and the GIL, to others for most of the time."""
        threading.Event().wait(min(max(taken * _REST_SHARE, _SHORTEST_REST), _LONGEST_REST))

    def _next(self) -> list[str]:
        with self._changed:
            while True:
                now = time.monotonic()
                queues = [queue for queue, at in self._due.items() if at <= now]
                if queues:
                    for queue in queues:
                        del self._due[queue]
                    self._sending = True
                    return queues
                first = min(self._due.values(), default=None)
                self._changed.wait(None if first is None else first - now)

    def _send(self, queues: list[str]) -> None:
        deaf = [queue for queue, heard in doorbell.ring(queues).items() if not heard]
        if deaf:
            publish(deaf)


_wakeups = Wakeups()
ring = _wakeups.ring


def publish(queues: Iterable[str]) -> bool:
    """Send delivery tasks at once, whoever may be listening; return whether that worked."""
    return _publisher.publish(queues)


_publisher = Publisher()


def _after_fork() -> None:
    global _publisher
    _publisher = Publisher()
    _wakeups.after_fork()
    doorbell.after_fork()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _wakeups.flush(_FAREWELL))
