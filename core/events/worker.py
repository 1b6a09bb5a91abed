"""The worker's side: which queues it serves, its delivery task and its own sweep."""

from __future__ import annotations

import threading
from typing import Any

from celery import signals
from django.db import connections

from core.events import delivery, sweep, wakeup
from core.events.conf import conf
from core.events.doorbell import Listener, doorbell
from core.events.tally import Worked
from core.events.trouble import drop_if_broken

# In a worker's processes: whether a task may wait there without holding up the worker itself.
_may_linger = False


def deliver(queue: str) -> dict[str, Any]:
    """Deliver what is due on this queue and on the others that this worker serves.

    One claim for all of them is what makes a steady trickle cheap: whoever is awake takes all.
    """
    drop_if_broken(conf.database)
    queues = served_queues() | {queue}
    listener = doorbell.listen(queues) if _may_linger else None
    if listener is None:
        # Who commits after this look needs a message of their own.
        doorbell.answer(queues)
        worked = _looking(queues)
    else:
        worked = _listening(queues, listener)
    if worked.left:
        wakeup.publish([queue])
    elif worked.again_in is not None and worked.again_in < conf.sweep_seconds:
        wakeup.ring([queue], after=worked.again_in)
    return worked.tally.as_dict()


def _looking(queues: set[str]) -> Worked:
    return delivery.work(queues, seconds=conf.task_seconds, on_full=wakeup.publish)


def _listening(queues: set[str], listener: Listener) -> Worked:
    """Deliver, and stay a little at the doorbell when there is nothing left."""
    listener.come()
    try:
        worked = delivery.work(
            queues,
            seconds=conf.task_seconds,
            on_full=wakeup.publish,
            # While a slow handler runs, nobody should count on this task to look.
            on_slow=listener.leave,
            wait=listener.wait,
        )
    finally:
        was_there = listener.leave()
    if was_there:
        last = delivery.work(queues, seconds=0)
        worked.tally.merge(last.tally)
        worked.left |= last.left
    return worked


def served_queues() -> set[str]:
    """Return the queues that this worker consumes; none outside a worker."""
    return set(_served)


_served: set[str] = set()


@signals.celeryd_after_setup.connect
def _note_queues(sender: Any = None, instance: Any = None, **_: Any) -> None:
    """Remember, before any pool process is forked, what this worker consumes."""
    global _may_linger
    _served.update(instance.app.amqp.queues.consume_from)
    # The solo pool runs tasks in the loop that also answers the broker and Flower.
    _may_linger = "solo" not in str(instance.pool_cls)


class SweepTimer(threading.Thread):
    """Sweeps every few seconds in a worker's main process, so that beat may be dead."""

    def __init__(self) -> None:
        super().__init__(name="signalbox-sweep", daemon=True)
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(conf.sweep_seconds):
            sweep.attempt()
        connections.close_all()

    def stop(self) -> None:
        self._stopped.set()


_timer: SweepTimer | None = None


@signals.worker_ready.connect
def _start_timer(**_: Any) -> None:
    global _timer
    if not conf.inline:
        _timer = SweepTimer()
        _timer.start()


@signals.worker_shutting_down.connect
def _stop_timer(**_: Any) -> None:
    if _timer is not None:
        _timer.stop()
