"""Beat's scheduler: django-celery-beat's, but the sweep runs in beat itself.

A message a second would pile up in the broker for as long as no worker takes them, hours of them
after a night. Beat has the database at hand, so it sweeps where it is and the broker gets only the
wake-ups that a sweep sends, with pauses that grow to 30 s for a queue that does not answer.
"""

from __future__ import annotations

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from core.events import sweep
from core.events.tasks import sweep_events


class Scheduler(DatabaseScheduler):  # type: ignore[misc] # it has no types
    """Sends due tasks, and runs the sweep instead of sending it."""

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Do what an entry says; a sweep that fails is logged, and the next one is soon."""
        if entry.task != sweep_events.name:
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        if advance:
            self.reserve(entry)
        sweep.attempt()
        return None
