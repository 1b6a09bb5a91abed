"""Retention: removing settled events and history that are past their days, in bounded batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from core.events.conf import conf
from core.events.models import Delivery, EventRecord, Settlement

_BATCH = 5000
# Between two batches, others have their turn at the disk and at SQLite's one write lock.
_PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went, or would go."""

    events: int = 0
    settlements: int = 0

    def as_dict(self) -> dict[str, int]:
        return {"events": self.events, "settlements": self.settlements}


def prune(
    *,
    days: int | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> Pruned:
    """Remove events without open deliveries, and history, older than so many days.

    `days` defaults to EVENTS_RETENTION_DAYS; 0 removes nothing. Events that still have a delivery,
    dead ones too, are kept. `progress` is called with the number of rows of each batch.
    """
    days = conf.retention_days if days is None else days
    if days <= 0:
        return Pruned()
    events, settlements = _old_events(days), _old_settlements(days)
    if dry_run:
        return Pruned(events.count(), settlements.count())
    return Pruned(_remove(events, progress), _remove(settlements, progress))


def _old_events(days: int) -> QuerySet[EventRecord]:
    open_deliveries = Delivery.objects.filter(event_id=OuterRef("pk"))
    return EventRecord.objects.using(conf.database).filter(
        ~Exists(open_deliveries), occurred_at__lt=Now() - timedelta(days=days)
    )


def _old_settlements(days: int) -> QuerySet[Settlement]:
    return Settlement.objects.using(conf.database).filter(
        settled_at__lt=Now() - timedelta(days=days)
    )


def _remove(
    rows: QuerySet[EventRecord] | QuerySet[Settlement], progress: Callable[[int], None]
) -> int:
    removed = 0
    while True:
        ids: list[Any] = list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH])
        if not ids:
            return removed
        found = rows.model._base_manager.using(rows.db).filter(pk__in=ids)
        removed += found._raw_delete(rows.db)
        progress(len(ids))
        threading.Event().wait(_PAUSE)
