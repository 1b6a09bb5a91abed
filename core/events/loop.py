"""The loop of `manage.py events work`: sweep and deliver without Celery, until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.db import DatabaseError, InterfaceError

from core.events import delivery, sweep
from core.events.conf import conf
from core.events.errors import EventsError
from core.events.routing import routing
from core.events.selection import suggestion
from core.events.tally import Tally, soonest
from core.events.trouble import drop_if_broken, is_passing

logger = logging.getLogger(__name__)

# The database may be back after so many seconds.
_PATIENCE = 1.0
_SHORTEST_PAUSE = 0.02

Report = Callable[[Tally], object]


class UnknownQueue(EventsError, LookupError):
    """No route is on this queue."""

    default_code = "UNKNOWN_QUEUE"


def work_once(queues: set[str] | None = None) -> Tally:
    """Deliver all that is due on these queues (None: all), and return what became of it."""
    sweep.reclaim()
    tally = Tally()
    while True:
        worked = delivery.work(queues, seconds=conf.task_seconds)
        tally.merge(worked.tally)
        if not worked.left:
            return tally


def work_until(
    stopped: threading.Event, queues: set[str] | None = None, *, report: Report = bool
) -> Tally:
    """Sweep and deliver until `stopped` is set; what is being handled then is finished first.

    `report` gets the counts of each round that did something. A database that is away for a while
    is waited for.
    """
    total = Tally()
    while not stopped.is_set():
        try:
            sweep.sweep()
            worked = delivery.work(queues, seconds=conf.task_seconds)
        except (DatabaseError, InterfaceError) as error:
            if not is_passing(error, conf.database):
                raise
            name = type(error).__name__
            logger.warning("the database is away (%s), again in %g s", name, _PATIENCE)
            drop_if_broken(conf.database)
            stopped.wait(_PATIENCE)
            continue
        if worked.tally:
            total.merge(worked.tally)
            report(worked.tally)
        if not worked.left:
            pause = soonest(worked.again_in, conf.sweep_seconds)
            stopped.wait(max(pause or 0.0, _SHORTEST_PAUSE))
    return total


def choose_queues(names: Sequence[str]) -> set[str] | None:
    """Return these queues, or None for all when there are none; raises UnknownQueue."""
    known = sorted({route.queue for route in routing})
    for name in names:
        if name not in known:
            raise UnknownQueue(f"no route is on the queue {name!r}{suggestion(name, known)}")
    return set(names) or None


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set; the same signal again acts as it always does."""
    stopped = threading.Event()
    former: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        signal.signal(number, former[number])

    for number in (signal.SIGTERM, signal.SIGINT):
        former[number] = signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
