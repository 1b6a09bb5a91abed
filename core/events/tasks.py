"""The engine's Celery tasks; each unpacks, calls one function and returns."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from core.events import retention, sweep, wakeup, worker


@shared_task(name=wakeup.TASK, ignore_result=True)
def deliver(*, queue: str) -> dict[str, Any]:
    """Deliver what is due. Returns, for each route that ran, how many events came to what."""
    return worker.deliver(queue)


# Without task events: one a second would be all that Flower shows.
@shared_task(name="events.sweep", ignore_result=True, send_events=False)
def sweep_events() -> dict[str, Any]:
    """Find lost leases and lost wake-ups. Returns what was found; nothing when not due."""
    return sweep.sweep().as_dict()


@shared_task(name="events.prune", ignore_result=True)
def prune_events() -> dict[str, int]:
    """Remove events and history past their retention. Returns how many rows went."""
    return retention.prune().as_dict()
