"""Beat's scheduler: django-celery-beat's, but what is due every few seconds runs in beat itself.

A message for each would pile up in the broker for as long as no worker takes them, thousands of
them after a night. Beat has the database at hand, so it sweeps where it is and the broker gets only
the wake-ups that a sweep sends, with pauses that grow to 30 s for a queue that does not answer.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import close_old_connections
from django_celery_beat.schedulers import DatabaseScheduler

from core.events import sweep
from core.events.tasks import sweep_events

logger = logging.getLogger(__name__)


def _apply_planned_change() -> None:
    """Make a due change of the fee; a failure is logged, and the next attempt is soon."""
    from core.models import PlatformFeeConfig  # where only the engine is installed there is none

    close_old_connections()
    try:
        PlatformFeeConfig.apply_planned_change()
    except Exception:
        logger.exception("applying a planned change of the fee failed")
    finally:
        close_old_connections()


# Each is short, and says itself what went wrong.
_DONE_HERE = {
    sweep_events.name: sweep.attempt,
    "platform_fee.apply_planned_change": _apply_planned_change,
}


class Scheduler(DatabaseScheduler):  # type: ignore[misc] # it has no types
    """Sends due tasks, and does itself what is due every few seconds."""

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Do what an entry says, or send it to a worker."""
        do = _DONE_HERE.get(entry.task)
        if do is None:
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        if advance:
            self.reserve(entry)
        do()
        return None
