"""Handover: a buffer, and a thread that ships what is in it."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from typing import Any
from uuid import uuid4

import orjson

from core.events.wakeup import Breaker
from core.handover import lifetime
from core.handover.broker import Broker
from core.handover.buffer import Buffer, Counts

logger = logging.getLogger(__name__)

# At the end of a process, so many seconds may it take to ship what is left.
_FAREWELL = 1.5
# Seconds between two lines in the log about what was dropped.
_REPORT_EVERY = 10.0
# After a message the thread rests so many times as long as it took, within reason.
_REST_SHARE = 4
_LONGEST_REST = 0.05


class Handover:
    """Takes records from any thread and ships them to a task, in batches, from a thread of its own.

    `capacity` is how many records, and `capacity_bytes` how many bytes of JSON, may wait in this
    process; `every` after how many seconds they are shipped; `batch` and `batch_bytes` what one
    message takes at most. While `most_waiting` messages wait in the queue nothing more is sent:
    when workers stall, the broker's memory is bounded too.

    A message whose fate is unknown, since the broker did not answer, counts as not shipped and is
    sent again; so the task may get a record twice, and one that is counted as dropped may have
    arrived all the same.

    Raises TypeError for names that are no texts, ValueError for numbers that are not above 0.
    """

    def __init__(
        self,
        name: str,
        *,
        task: str,
        queue: str,
        capacity: int = 10_000,
        capacity_bytes: int = 8 * 1024 * 1024,
        every: float = 1.0,
        batch: int = 500,
        batch_bytes: int = 256 * 1024,
        most_waiting: int = 100,
    ) -> None:
        for option, text in (("name", name), ("task", task), ("queue", queue)):
            if not isinstance(text, str) or not text:
                raise TypeError(f"Handover({option}={text!r}): give a text")
        numbers = {"capacity": capacity, "capacity_bytes": capacity_bytes, "every": every}
        numbers |= {"batch": batch, "batch_bytes": batch_bytes, "most_waiting": most_waiting}
        for option, number in numbers.items():
            if not isinstance(number, int | float) or not 0 < number < math.inf:
                raise ValueError(f"Handover({option}={number!r}): give a number above 0")
        self.name = name
        self._task, self._queue = task, queue
        self._capacity, self._capacity_bytes = capacity, capacity_bytes
        self._every = every
        self._batch, self._batch_bytes = batch, batch_bytes
        self._most_waiting = most_waiting
        self._begin()
        lifetime.follow(self)

    def _begin(self) -> None:
        """Start with nothing: neither threads nor connections survive a fork."""
        self._buffer = Buffer(records=self._capacity, size=self._capacity_bytes)
        self._broker = Broker(task=self._task, queue=self._queue)
        self._breaker = Breaker()
        self._process = uuid4().hex
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._idle = False
        self._hurry = False
        self._hurry_until = 0.0
        self._failing = False
        self._round_done = threading.Condition()
        self._rounds = 0
        self._reported = 0
        self._reported_at = 0.0

    def hand_over(self, record: dict[str, Any]) -> None:
        """Have the task get this record; it returns at once, whatever the broker does.

        The values are those of JSON, and dates and UUIDs. What cannot be JSON, or is larger than a
        message may be, is dropped and counted.
        """
        try:
            # A copy: orjson's own bytes are the beginning of a block ten times their size, whose
            # rest the allocator cannot give to anybody.
            text = bytes(memoryview(orjson.dumps(record)))
        except TypeError as error:
            self._buffer.refuse()
            logger.warning("%s: a record was dropped: %s", self.name, error)
            return
        if len(text) > self._batch_bytes:
            self._buffer.refuse()
        else:
            self._buffer.append(text)
        if self._idle:
            # Once for a batch: waking a thread costs more than all the rest.
            self._idle = False
            self._wake.set()
        elif self._thread is None:
            self._start()

    def status(self) -> Counts:
        """Return what became of the records of this process so far."""
        return self._buffer.counts()

    def flush(self, seconds: float) -> bool:
        """Ship now what is there, for at most so many seconds; return whether all went.

        It does not wait for a broker that fails, nor for a queue that is full.
        """
        deadline = time.monotonic() + seconds
        # Twice: a round that is under way may have looked before the last record came.
        for _ in range(2):
            if not self._buffer.counts().buffered:
                return True
            self._have_a_round(deadline)
        return not self._buffer.counts().buffered

    def _have_a_round(self, deadline: float) -> None:
        if self._thread is None:
            return
        with self._round_done:
            begun = self._rounds
            self._hurry_until, self._hurry = deadline, True
            self._wake.set()
            self._round_done.wait_for(
                lambda: self._rounds > begun, max(0.0, deadline - time.monotonic())
            )

    def close(self) -> None:
        """Ship what is left at the end of the process, and say what could not be shipped."""
        if self._thread is None:
            return
        self.flush(_FAREWELL)
        if lost := self._buffer.drop_all():
            self._reported += lost
            logger.warning("%s: %d records were dropped at the end of the process", self.name, lost)

    def after_fork(self) -> None:
        """Leave to the parent what it has gathered."""
        self._begin()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(
                target=self._run, name=f"signalbox-handover-{self._queue}", daemon=True
            )
            lifetime.close_at_exit(self)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._pause()
            try:
                self._ship()
            except Exception:
                logger.exception("%s could not be shipped; they wait", self.name)
                self._buffer.put_back()
                self._breaker.failed()
            self._report()
            with self._round_done:
                self._rounds += 1
                self._round_done.notify_all()

    def _pause(self) -> None:
        """Sleep until there is something, and then for as long as a batch is gathered."""
        if not self._buffer and not self._unreported():
            self._wake.clear()
            self._idle = True
            # Who came between the two saw a thread that is not idle.
            if not self._buffer and not self._hurry:
                self._wake.wait()
            self._idle = False
            self._wake.clear()
        if not self._hurry:
            self._wake.wait(self._every)
        self._hurry = False
        self._wake.clear()

    def _ship(self) -> None:
        """Send what waits by now, message by message, as far as the broker takes it.

        What comes meanwhile is for the next round: chasing it would make messages of a few records.
        """
        due = self._buffer.counts().buffered
        while due > 0 and self._buffer and not self._breaker.is_open:
            started = time.monotonic()
            try:
                if self._broker.waiting() >= self._most_waiting:
                    return
                most = min(self._batch, due)
                batch = self._buffer.take(records=most, size=self._batch_bytes)
                due -= len(batch)
                self._broker.publish(batch, self._source())
            except Exception as error:
                self._buffer.put_back()
                self._give_up(error)
                return
            self._succeed()
            if time.monotonic() >= self._hurry_until:
                taken = time.monotonic() - started
                threading.Event().wait(min(taken * _REST_SHARE, _LONGEST_REST))

    def _source(self) -> dict[str, Any]:
        return {
            "process": self._process,
            "host": socket.gethostname(),
            "dropped": self._buffer.counts().dropped,
        }

    def _succeed(self) -> None:
        self._buffer.settle()
        self._breaker.succeeded()
        if self._failing:
            self._failing = False
            logger.info("%s are shipped again", self.name)

    def _give_up(self, error: Exception) -> None:
        self._broker.hang_up()
        self._breaker.failed()
        if not self._failing:
            # Once for each outage; what it costs is reported as it is lost.
            self._failing = True
            logger.warning(
                "%s cannot be shipped (%s); they wait, the oldest are dropped when there are "
                "too many",
                self.name,
                type(error).__name__,
            )

    def _unreported(self) -> int:
        return self._buffer.counts().dropped - self._reported

    def _report(self) -> None:
        """Say how many records were dropped, in one line every now and then."""
        lost, now = self._unreported(), time.monotonic()
        if not lost or now - self._reported_at < _REPORT_EVERY:
            return
        self._reported += lost
        self._reported_at = now
        counts = self._buffer.counts()
        logger.warning(
            "%s: %d records were dropped since the buffer is full or they are too large; "
            "in all %d of %d, %d wait",
            self.name,
            lost,
            counts.dropped,
            counts.accepted,
            counts.buffered,
        )
