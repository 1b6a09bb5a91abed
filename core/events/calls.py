"""Calls: one call of a handler, with its transaction, its context and its time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from core.context import Context, bound_fields, using_context
from core.events.errors import HandlerQuit, LeaseLost
from core.events.event import Event
from core.events.holding import Holding
from core.events.interrupt import bounded
from core.events.nesting import shielded
from core.events.routing import Route
from core.events.units import Unit


def call(holding: Holding, route: Route, units: list[Unit]) -> Exception | None:
    """Call the handler of a route with these units; return what it raised.

    An atomic call settles them as well; that is LeaseLost when another has one of them by now.
    """
    try:
        events = [unit.fresh_event() for unit in units]
        holding.calling = {id for unit in units for id in unit.ids}
        with using_context(context_of(events)), bound_fields(**fields_of(route, events)):
            if route.atomic:
                _call_atomically(holding, route, units, events)
            else:
                with shielded(holding.alias), bounded(route.lease):
                    route.call(events)
    except Exception as error:
        return error
    except (SystemExit, asyncio.CancelledError) as error:
        if is_order(error):
            raise
        return HandlerQuit(f"the handler raised {type(error).__name__}: {error}")
    return None


def _call_atomically(
    holding: Holding, route: Route, units: list[Unit], events: list[Event]
) -> None:
    # One transaction for the effects and the settlement: both happen, or neither. A savepoint
    # would not do, since deferred constraints speak at COMMIT.
    with transaction.atomic(using=holding.alias), bounded(route.lease):
        route.call(events)
        ids = [id for unit in units for id in unit.ids]
        if holding.settle(ids, "done") != len(ids):
            raise LeaseLost()


def context_of(events: Sequence[Event]) -> Context:
    """Return what a handler's own events inherit: what all the events that it handles share."""
    first = events[0]
    if len(events) == 1:
        return Context(first.actor_id, first.tenant_id, first.correlation_id, first.id)

    def common(name: str) -> str | None:
        values = {getattr(event, name) for event in events}
        return values.pop() if len(values) == 1 else None

    return Context(common("actor_id"), common("tenant_id"), common("correlation_id"), None)


def fields_of(route: Route, events: Sequence[Event]) -> dict[str, Any]:
    """Return what log records say about the call of a route with these events."""
    if len(events) > 1:
        return {"route": route.name, "events": len(events)}
    (event,) = events
    return {
        "route": route.name,
        "event_id": event.id,
        "delivery_id": event.delivery_id,
        "attempt": event.attempt,
    }


def is_order(error: BaseException) -> bool:
    """Tell whether this is Celery telling its process to stop, and not the handler's own exit."""
    if type(error) not in (SystemExit, asyncio.CancelledError):
        return True
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    raised_in = frame.tb_frame.f_globals.get("__name__", "") if frame is not None else ""
    return str(raised_in).partition(".")[0] in ("billiard", "celery")
