"""Recording: the event and one delivery for each of its routes, in the caller's transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import uuid_utils.compat as uuid_utils
from django.db import connections, transaction
from django.db.models import Model

from core.context import Context, current_context
from core.events import inline, wakeup
from core.events.conf import conf
from core.events.errors import EventPayloadError, TransactionMismatch
from core.events.event import Event
from core.events.payload import decode
from core.events.routing import Route, routing
from core.events.store import store_for

if TYPE_CHECKING:
    from core.events.signals import EventSignal

_SENDER_LENGTH = 200
# A transaction that goes on for longer than this, in seconds, after it fired commits late.
_LATE = 0.5

_muted: ContextVar[bool] = ContextVar("signalbox_muted", default=False)
_capture: ContextVar[list[Event] | None] = ContextVar("signalbox_capture", default=None)


@dataclass(slots=True)
class NewEvent:
    """An event about to be recorded: its columns, and the route and lane of each delivery."""

    id: UUID
    name: str
    version: int
    data: str
    sensitive: str
    sender: str
    key: str | None
    context: Context
    deliveries: list[tuple[str, str | None]]

    def as_event(self, sensitive: frozenset[str]) -> Event:
        """Return what a handler would get."""
        return Event(
            id=self.id,
            name=self.name,
            version=self.version,
            data=decode(self.data),
            sender=self.sender,
            key=self.key,
            occurred_at=datetime.now(UTC),
            actor_id=self.context.actor_id,
            tenant_id=self.context.tenant_id,
            correlation_id=self.context.correlation_id or str(self.id),
            causation_id=self.context.causation_id,
            sensitive=sensitive,
        )


@contextmanager
def muted() -> Iterator[None]:
    """Switch recording off within a block, as for a bulk import; receivers still run."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)


@contextmanager
def capture_events() -> Iterator[list[Event]]:
    """Collect the events fired within a block instead of recording them, for tests."""
    events: list[Event] = []
    token = _capture.set(events)
    try:
        yield events
    finally:
        _capture.reset(token)


def record(signal: EventSignal, sender: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
    """Record an event for each payload: one SQL statement, then a wake-up after commit.

    Raises EventPayloadError before anything is written, and TransactionMismatch when the only
    open transaction is one of another database.
    """
    if _muted.get() or not payloads:
        return
    label = sender_label(sender)
    context = current_context()
    events = [_new(signal, label, context, payload) for payload in payloads]
    foreign = _foreign_transaction()
    if foreign is not None and not signal.after_commit:
        raise TransactionMismatch(
            f"{signal.name} was fired inside a transaction on {foreign!r}, but events live on "
            f"{conf.database!r}: open a transaction there too, or declare the signal with "
            "after_commit=True (recorded after that commit, a weaker guarantee)"
        )
    captured = _capture.get()
    if captured is not None:
        captured.extend(event.as_event(signal.sensitive) for event in events)
        return
    queues = _assign(signal, events)
    if foreign is None:
        _write(events, queues)
    else:
        transaction.on_commit(lambda: _write(events, queues), using=foreign, robust=True)


def can_record_with(alias: str, signals: Iterable[EventSignal], sender: Any) -> bool:
    """Tell whether an event of these signals can be recorded together with a row there.

    It cannot where receivers of this process are to hear of it, or if it is not recorded at all.
    """
    return (
        alias == conf.database
        and not conf.inline
        and not _muted.get()
        and _capture.get() is None
        and not any(signal.has_listeners(sender) for signal in signals)
    )


def record_with(
    statement: tuple[str, Sequence[Any]],
    signal: EventSignal,
    sender: Any,
    payload: Mapping[str, Any],
) -> bool:
    """Run a statement that writes one row and record an event if there was one.

    On PostgreSQL all is one statement, on SQLite several in one transaction. Returns whether there
    was a row. The statement is SQL with its parameters, for the engine's database;
    `can_record_with` says when. Raises EventPayloadError before anything is written.
    """
    event = _new(signal, sender_label(sender), current_context(), payload)
    queues = _assign(signal, [event])
    # Before, since without a transaction the statement ends with its commit.
    began = time.monotonic()
    was_there, lowest = store_for(conf.database).insert_with(event, statement)
    if was_there:
        _tell_after_commit([event], queues, lowest, began, deliver_here=False)
    return was_there


def sender_label(sender: Any) -> str:
    """Return how a sender is recorded: "app.model" for a model, else its dotted path."""
    if sender is None:
        return ""
    if isinstance(sender, str):
        label = sender
    elif isinstance(sender, Model) or (isinstance(sender, type) and issubclass(sender, Model)):
        label = sender._meta.label_lower
    else:
        named = sender if hasattr(sender, "__qualname__") else type(sender)
        label = f"{named.__module__}.{named.__qualname__}"
    if len(label) > _SENDER_LENGTH or "\x00" in label:
        raise EventPayloadError(
            f"the sender {label[:40]!r}... must be at most {_SENDER_LENGTH} characters without NUL"
        )
    return label


def _new(
    signal: EventSignal, sender: str, context: Context, payload: Mapping[str, Any]
) -> NewEvent:
    data, key = signal.encode(payload)
    return NewEvent(
        id=uuid_utils.uuid7(),
        name=signal.name,
        version=signal.version,
        data=data,
        sensitive=" ".join(sorted(signal.sensitive)),
        sender=sender,
        key=key,
        context=context,
        deliveries=[],
    )


def _assign(signal: EventSignal, events: Sequence[NewEvent]) -> set[str]:
    """Give each event its deliveries; return the queues that they touch."""
    routes = routing.match(signal.name)
    queues: set[str] = set()
    for event in events:
        seen: Event | None = None
        for route in routes:
            if route.sender is not None and route.sender != event.sender:
                continue
            if route.when is not None:
                seen = seen or event.as_event(signal.sensitive)
                if not route.accepts(seen):
                    continue
            event.deliveries.append((route.name, lane_of(route, event.key)))
            queues.add(route.queue)
    return queues


def lane_of(route: Route, key: str | None) -> str | None:
    """Return the lane that a delivery of this route waits in, if it is ordered."""
    return key if route.ordered else None


def _foreign_transaction() -> str | None:
    """Return the alias of an open transaction that events cannot join, if there is one."""
    if connections[conf.database].in_atomic_block:
        return None
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            return connection.alias
    return None


def _write(events: Sequence[NewEvent], queues: set[str]) -> None:
    deliver_here = conf.inline
    began = time.monotonic()
    lowest = store_for(conf.database).insert(events)
    _tell_after_commit(events, queues, lowest, began, deliver_here=deliver_here)


def _tell_after_commit(
    events: Sequence[NewEvent],
    queues: set[str],
    lowest: int | None,
    began: float,
    *,
    deliver_here: bool,
) -> None:
    if not queues:
        return
    alias = conf.database

    def tell() -> None:
        try:
            if lowest is not None and time.monotonic() - began > _LATE:
                # Claims may have gone past these rows while they could not be seen.
                names = {route for event in events for route, _ in event.deliveries}
                store_for(alias).reach_down(sorted(names), lowest)
        finally:
            if deliver_here:
                inline.deliver([event.id for event in events])
            else:
                wakeup.ring(queues)

    transaction.on_commit(tell, using=alias, robust=True)
