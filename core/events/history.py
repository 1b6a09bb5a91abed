"""Stored events: how replays and people read them, and the lock that keeps them in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connections, transaction
from django.db.models import Model, QuerySet
from django.db.models.functions import Now

from core.events.event import MASK, Event, mask
from core.events.models import Duty, EventRecord, Settlement
from core.events.payload import decode
from core.events.stored import envelope, sensitive_names, with_data

_LOCK = "history"


@contextmanager
def locked_history(alias: str) -> Iterator[None]:
    """Open a transaction in which nobody else prunes or replays events.

    A delivery has no foreign key to hold its event, so a replay must not meet a prune: each takes
    this lock for one batch and reads only after it has it.
    """
    with transaction.atomic(using=alias):
        rows = Duty.objects.using(alias)
        rows.bulk_create([Duty(name=_LOCK, until=Now())], ignore_conflicts=True)
        rows.select_for_update().get(name=_LOCK)
        yield


def ensure_statistics(model: type[Model], alias: str) -> None:
    """Let PostgreSQL look at a table of which it knows nothing yet, as after a restore.

    It would take the rest of the table for a few rows, and read and sort all of it for each batch.
    """
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples < 0 FROM pg_class WHERE oid = %s::regclass", [table])
        if cursor.fetchone() == (True,):
            cursor.execute(f"ANALYZE {connection.ops.quote_name(table)}")


def stored_event(record: EventRecord) -> Event:
    """Return a stored event as a handler would get it, at the version declared now.

    Raises UndeclaredEvent, or EventPayloadError when the payload cannot be read.
    """
    return with_data(envelope(record, record.id), record.data)


def public_payload(record: EventRecord) -> dict[str, Any]:
    """Return the payload as it was stored, its sensitive values masked.

    Raises EventPayloadError when it cannot be read.
    """
    return mask(decode(record.data), sensitive_names(record))


def public_key(record: EventRecord) -> str | None:
    """Return the key, masked when it is one of the sensitive values or that cannot be told."""
    names = sensitive_names(record)
    if record.key is None or not names:
        return record.key
    try:
        data = decode(record.data)
    except Exception:  # whatever is wrong with the payload, the key must not slip out
        return MASK
    return MASK if record.key in {str(data.get(name)) for name in names} else record.key


def settlements_of(record: EventRecord, within: timedelta) -> QuerySet[Settlement]:
    """Return the history of an event: what was settled so soon after it, oldest first."""
    return (
        Settlement.objects.using(record._state.db)
        .filter(
            settled_at__gte=record.occurred_at,
            settled_at__lte=record.occurred_at + within,
            events__contains=str(record.pk),
        )
        .order_by("pk")
    )
