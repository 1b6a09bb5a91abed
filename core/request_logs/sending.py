"""Sends request records to the workers."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from uuid_utils import uuid7

from core.handover import Counts, Handover
from core.request_logs.conf import conf

TASK = "logs.write"
QUEUE = "logs"


def hand_over(record: dict[str, Any]) -> bool:
    """Have a worker write this record to the sinks; False means that there are none.

    The record's values are those of JSON; `id` and `at` (the time) are given here. It returns at
    once: a broker that does not answer and a buffer that is full cost the oldest records, not the
    caller.
    """
    if not conf.sinks:
        return False
    # The id once and for all, so that sinks know a record that comes twice.
    _handover().hand_over({**record, "id": str(uuid7()), "at": datetime.now(UTC)})
    return True


def status() -> Counts:
    """Return what became of the records of this process."""
    return _handover().status()


def flush(seconds: float) -> bool:
    """Ship what waits, for at most so many seconds; return whether all went."""
    return _handover().flush(seconds)


@cache
def _handover() -> Handover:
    return Handover("request logs", task=TASK, queue=QUEUE, capacity=conf.buffer)
