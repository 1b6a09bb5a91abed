"""Retention: removing settled events and history that are past their days, in bounded batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now

from core.events.conf import conf
from core.events.history import ensure_statistics, locked_history
from core.events.models import Delivery, EventRecord, Settlement
from core.events.selection import Progress, quiet

_BATCH = 5000
# Between two batches, others have their turn at the disk and at SQLite's one write lock.
_PAUSE = 0.01

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went, or would go."""

    events: int = 0
    settlements: int = 0

    def as_dict(self) -> dict[str, int]:
        return {"events": self.events, "settlements": self.settlements}


def prune(*, days: int | None = None, dry_run: bool = False, progress: Progress = quiet) -> Pruned:
    """Remove events without open deliveries, and history, older than so many days.

    `days` defaults to EVENTS_RETENTION_DAYS; 0 removes nothing. Events that still have a delivery,
    dead ones too, are kept.
    """
    days = conf.retention_days if days is None else days
    if days <= 0:
        return Pruned()
    before = Now() - timedelta(days=days)
    events = EventRecord.objects.using(conf.database).filter(occurred_at__lt=before)
    settlements = Settlement.objects.using(conf.database).filter(settled_at__lt=before)
    removed = _remove(events, "occurred_at", _without_open_deliveries, dry_run, progress)
    return Pruned(removed, _remove(settlements, "settled_at", list, dry_run, progress))


def _remove(
    rows: QuerySet[Row],
    moment: str,
    choose: Callable[[list[Any]], list[Any]],
    dry_run: bool,
    progress: Progress,
) -> int:
    """Remove the chosen of these rows, oldest first, a transaction for each batch."""
    ensure_statistics(rows.model, rows.db)
    ordered = rows.order_by(moment, "pk").values_list(moment, "pk")
    rest, removed = ordered, 0
    while True:
        with nullcontext() if dry_run else locked_history(rows.db):
            batch = list(rest[:_BATCH])
            ids = choose([pk for _, pk in batch])
            removed += len(ids) if dry_run else _delete(rows, ids)
        if not batch:
            return removed
        progress(removed, None)
        last, pk = batch[-1]
        after = Q(**{f"{moment}__gt": last}) | Q(pk__gt=pk)
        rest = ordered.filter(after, **{f"{moment}__gte": last})
        if not dry_run:
            threading.Event().wait(_PAUSE)


def _without_open_deliveries(ids: list[Any]) -> list[Any]:
    # Asked once for a batch: a delivery's event has no index, so each question reads the table.
    rows = Delivery.objects.using(conf.database).filter(event_id__in=ids)
    kept = set(rows.values_list("event_id", flat=True))
    return [id for id in ids if id not in kept]


def _delete(rows: QuerySet[Row], ids: list[Any]) -> int:
    if not ids:
        return 0
    # Neither signals nor cascades: nothing points to these rows, and they are millions.
    found = rows.model._base_manager.using(rows.db).filter(pk__in=ids)
    return int(found._raw_delete(rows.db))
