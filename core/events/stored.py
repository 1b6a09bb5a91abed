"""Stored events: how a row of the database becomes the Event that a handler or a person gets."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from core.events.declarations import declared
from core.events.errors import EventPayloadError, UndeclaredEvent
from core.events.event import Event
from core.events.payload import decode
from core.events.state import delivery_id
from core.events.store import Claimed

if TYPE_CHECKING:
    from core.events.models import EventRecord


def claimed_event(row: Claimed) -> Event:
    """Return the event of a delivery, its payload still unread."""
    return envelope(row, row.event_id, delivery_id(row.event_id, row.id), row.attempts + 1)


def envelope(
    row: Claimed | EventRecord, id: UUID, delivery: str | None = None, attempt: int | None = None
) -> Event:
    """Return the event of a row, its payload still unread."""
    return Event(
        id=id,
        name=row.name,
        version=row.version,
        data={},
        sender=row.sender,
        key=row.key,
        occurred_at=row.occurred_at,
        actor_id=row.actor_id,
        tenant_id=row.tenant_id,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        delivery_id=delivery,
        attempt=attempt,
        sensitive=sensitive_names(row),
    )


def with_data(event: Event, text: str) -> Event:
    """Return the event with its payload, brought to the declared version.

    Raises UndeclaredEvent when no signal has its name, EventPayloadError when the payload cannot
    be read or its version cannot be reached.
    """
    signal = declared.get(event.name)
    if signal is None:
        raise UndeclaredEvent(
            f"no signal is declared for the event {event.name!r}: declare it again, "
            "or discard its deliveries with `manage.py events discard`"
        )
    data = decode(text)
    if event.version > signal.version:
        raise EventPayloadError(
            f"{event.name}: version {event.version} was stored, but this process declares "
            f"{signal.version}: deploy the code that wrote it"
        )
    if event.version < signal.version:
        if signal.upcast is None:
            raise EventPayloadError(
                f"{event.name}: version {event.version} was stored and {signal.version} is "
                "declared, but the signal has no `upcast` to get there"
            )
        data = signal.upcast(data, event.version)
        if not isinstance(data, dict):
            raise EventPayloadError(
                f"{event.name}: upcast returned {type(data).__name__}, it must return a dict"
            )
    # The event is frozen for its readers; here it is still being made.
    object.__setattr__(event, "data", data)
    object.__setattr__(event, "version", signal.version)
    return event


def readable(row: Claimed) -> Event:
    """Return the event of a delivery, with its payload if that can be read."""
    event = claimed_event(row)
    try:
        return with_data(event, row.data)
    except Exception:
        # Why it cannot be read is what its delivery failed with.
        return event


def sensitive_names(row: Claimed | EventRecord) -> frozenset[str]:
    """Return which fields were sensitive when the event was fired, or are so now."""
    stored, signal = _names(row.sensitive), declared.get(row.name)
    return stored if signal is None or signal.sensitive <= stored else stored | signal.sensitive


@lru_cache(maxsize=1024)
def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())
