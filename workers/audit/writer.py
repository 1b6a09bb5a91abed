"""Writes audit rows: one statement for a whole batch, and none of them twice."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from core.events import Event
from workers.bulk_insert import insert_rows

from .entries import entries
from .models import AuditLog

ROWS_PER_STATEMENT = 5_000


def write(events: Iterable[Event]) -> None:
    """Insert the audit rows of these events; a row that is there already stays as it is."""
    rows = chain.from_iterable(map(entries, events))
    while some := list(islice(rows, ROWS_PER_STATEMENT)):
        insert_rows(AuditLog, some, ignore_conflicts=True, durable=False)
