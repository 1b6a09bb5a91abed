"""Removes request logs that are past their days, in bounded batches."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from django.db import models, router
from django.utils import timezone

from core.request_logs.conf import conf

from .models import RequestLog, RequestLogLoss

_BATCH = 5000
# Between two batches, others have their turn at the disk and at SQLite's one write lock.
_PAUSE = 0.01


def prune(*, days: int | None = None) -> int:
    """Remove rows older than so many days, by default REQUEST_LOG_RETENTION_DAYS; return how many.

    0 days removes nothing.
    """
    days = conf.retention_days if days is None else days
    if days <= 0:
        return 0
    before = timezone.now() - timedelta(days=days)
    return _remove(RequestLog, "at", before) + _remove(RequestLogLoss, "last_at", before)


def _remove(model: type[models.Model], moment: str, before: datetime) -> int:
    using = router.db_for_write(model)
    rows = model._base_manager.using(using)
    old = rows.filter(**{f"{moment}__lt": before}).order_by(moment).values_list("pk", flat=True)
    removed = 0
    while keys := list(old[:_BATCH]):
        # Neither signals nor cascades: nothing points to these rows, and they are millions.
        removed += int(rows.filter(pk__in=keys)._raw_delete(using))
        threading.Event().wait(_PAUSE)
    return removed
