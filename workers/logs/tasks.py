"""The tasks of request logs; each unpacks, calls one function and returns."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from core.handover import HandoverTask
from core.request_logs.sending import TASK

from . import retention, writing
from .records import checked

# Seconds until a sink that failed is tried again.
_PAUSES = (1, 5, 25)


@shared_task(base=HandoverTask, name=TASK, bind=True, max_retries=len(_PAUSES))
def write(
    self: Task,
    *,
    records: list[dict[str, Any]],
    source: dict[str, Any] | None = None,
    sinks: list[str] | None = None,
) -> int:
    """Write records to the sinks; those that fail get theirs again, up to three times."""
    source = source or {}
    known = checked(records)
    failed = writing.write(known, sinks=sinks) if known else []
    if sinks is None:
        writing.note_loss(source, unwritten=len(records) - len(known))
    if not failed:
        return len(known)
    if self.request.retries >= len(_PAUSES):
        writing.give_up(known, failed, source)
        return 0
    raise self.retry(
        kwargs={"records": known, "source": source, "sinks": failed},
        countdown=_PAUSES[self.request.retries],
    )


@shared_task(name="logs.prune", ignore_result=True)
def prune() -> int:
    """Remove rows past their retention. Returns how many went."""
    return retention.prune()
