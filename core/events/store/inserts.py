"""Inserts on PostgreSQL: one statement for any number of events with their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from core.events.store.rows import DELIVERY, EVENT, EVENT_COLUMNS

if TYPE_CHECKING:
    from core.events.outbox import NewEvent

_NEW_EVENT_COLUMNS = (
    "id uuid, name text, version smallint, data text, sensitive text, sender text, key text, "
    "actor_id text, tenant_id text, correlation_id text, causation_id uuid, deliveries json"
)


def insert_one(event: NewEvent) -> tuple[str, list[Any]]:
    """Return the statement and the parameters that insert an event with its deliveries."""
    insert_event = (
        f"INSERT INTO {EVENT} (id, {EVENT_COLUMNS}, occurred_at) VALUES "
        "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, statement_timestamp())"
    )
    params = _columns(event)
    if not event.deliveries:
        return insert_event, params
    rows = ", ".join(["(%s, %s, %s)"] * len(event.deliveries))
    return (
        f"WITH e AS ({insert_event}) INSERT INTO {DELIVERY} (event_id, route, lane) "
        f"VALUES {rows} RETURNING id",
        params + _deliveries(event),
    )


def insert_with(event: NewEvent, statement: tuple[str, Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return a statement that writes a row and inserts the event if there was one.

    It touches as many rows as the event has deliveries, or one; none if there was no row. It may
    have waited for the row, so the time is that of the clock and not of the statement's start.
    """
    write, params = statement
    insert_event = (
        f"INSERT INTO {EVENT} (id, {EVENT_COLUMNS}, occurred_at) SELECT "
        "%s::uuid, %s::text, %s::smallint, %s::text, %s::text, %s::text, %s::text, %s::text, "
        "%s::text, %s::text, %s::uuid, clock_timestamp() FROM written"
    )
    written = f"WITH written AS ({write} RETURNING 1)"
    columns = [*params, *_columns(event)]
    if not event.deliveries:
        return f"{written} {insert_event}", columns
    rows = ", ".join(["(%s::uuid, %s::text, %s::text)"] * len(event.deliveries))
    return (
        f"{written}, e AS ({insert_event}) INSERT INTO {DELIVERY} (event_id, route, lane) "
        f"SELECT r.* FROM written, (VALUES {rows}) AS r RETURNING id",
        columns + _deliveries(event),
    )


def _columns(event: NewEvent) -> list[Any]:
    context = event.context
    return [
        event.id,
        event.name,
        event.version,
        event.data,
        event.sensitive,
        event.sender,
        event.key,
        context.actor_id,
        context.tenant_id,
        context.correlation_id or str(event.id),
        context.causation_id,
    ]


def _deliveries(event: NewEvent) -> list[Any]:
    return [each for route, lane in event.deliveries for each in (event.id, route, lane)]


def insert_many(events: Sequence[NewEvent]) -> tuple[str, list[Any]]:
    """Return the statement and the parameters that insert events with their deliveries."""
    # One JSON text costs the client far less than arrays, whose JSON it would escape twice.
    body = orjson.dumps(
        [
            {
                "id": event.id,
                "name": event.name,
                "version": event.version,
                "data": event.data,
                "sensitive": event.sensitive,
                "sender": event.sender,
                "key": event.key,
                "actor_id": event.context.actor_id,
                "tenant_id": event.context.tenant_id,
                "correlation_id": event.context.correlation_id or str(event.id),
                "causation_id": event.context.causation_id,
                "deliveries": event.deliveries,
            }
            for event in events
        ]
    ).decode()
    return (
        f"""WITH n AS MATERIALIZED (
            SELECT * FROM json_to_recordset(%s::json) AS r({_NEW_EVENT_COLUMNS})
        ), e AS (
            INSERT INTO {EVENT} (id, {EVENT_COLUMNS}, occurred_at)
            SELECT id, {EVENT_COLUMNS}, statement_timestamp() FROM n
        ), d AS (
            INSERT INTO {DELIVERY} (event_id, route, lane)
            SELECT n.id, d.value->>0, d.value->>1
            FROM n CROSS JOIN LATERAL json_array_elements(n.deliveries) AS d(value)
            RETURNING id
        )
        SELECT min(id) FROM d""",
        [body],
    )
