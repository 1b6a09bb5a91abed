"""Replay: new deliveries of stored events, to rebuild what routes have derived from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from core.events.conf import conf
from core.events.declarations import declared
from core.events.history import ensure_statistics, locked_history, stored_event
from core.events.interventions import wake
from core.events.models import Delivery, EventRecord
from core.events.outbox import lane_of
from core.events.routing import Route, routing
from core.events.selection import (
    Progress,
    Selection,
    choose_events,
    choose_routes,
    needs_naming,
    quiet,
)

_BATCH = 1000
# When `when` has to see them, a batch of the largest payloads still fits into memory.
_BATCH_WITH_DATA = 100


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: new deliveries per route, and what it had to leave out.

    `undeclared` counts the stored events that no handler could read any more, by name.
    """

    events: int = 0
    routes: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    undeclared: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.routes.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "events": self.events,
            "routes": self.routes,
            "left_out": self.left_out,
            "undeclared": self.undeclared,
        }


def replay(selection: Selection, *, dry_run: bool = False, progress: Progress = quiet) -> Replayed:
    """Give stored events new deliveries, behind all others, in the order in which they happened.

    `sender` and `when` of a route are asked again, of the stored event. Routes with `replay=False`
    and `at_most_once` ones are left out unless the selection names them. Events that are recorded
    meanwhile are not replayed. Each batch commits by itself, so a replay that is interrupted has
    happened up to there. Raises UnknownRoute or UndeclaredEvent when a name matches nothing.
    """
    ensure_statistics(EventRecord, conf.database)
    span = _span(selection)
    stored = dict(span.order_by("name").values_list("name").annotate(Count("pk")))
    meant = [name for name in choose_events(selection.events, stored) if name in stored]
    routes, left_out = _routes(selection, meant)
    names = [name for name in meant if any(route.matches(name) for route in routes)]
    readable = [name for name in names if declared.get(name) is not None]
    undeclared = {name: stored[name] for name in names if name not in readable}
    expected = sum(stored[name] for name in readable)
    counts: Counter[str] = Counter()
    done = 0
    for batch, deliveries in _batches(span.filter(name__in=readable), routes, dry_run):
        counts.update(delivery.route for delivery in deliveries)
        done += batch
        progress(done, expected)
        if not dry_run:
            wake({delivery.route for delivery in deliveries})
    return Replayed(done, dict(sorted(counts.items())), left_out, undeclared)


def _routes(selection: Selection, events: Sequence[str]) -> tuple[list[Route], dict[str, str]]:
    """Return the routes that these events take, and why which others are left out."""
    routes: list[Route] = []
    left_out: dict[str, str] = {}
    for name in choose_routes(selection, sorted(route.name for route in routing)):
        route = routing.get(name)
        if route is None or not any(route.matches(event) for event in events):
            if selection.names(name):
                left_out[name] = "takes none of these events"
            continue
        reason = needs_naming(route) if route.replay else "replay=False"
        if reason is None or selection.names(name):
            routes.append(route)
        else:
            left_out[name] = reason
    return routes, left_out


def _span(selection: Selection) -> QuerySet[EventRecord]:
    """Return the events of the time that is meant, up to the newest that is there now."""
    rows = EventRecord.objects.using(conf.database)
    newest = rows.aggregate(newest=Max("occurred_at"))["newest"]
    if newest is None:
        return rows.none()
    rows = rows.filter(occurred_at__lte=newest)
    if selection.since is not None:
        rows = rows.filter(occurred_at__gte=selection.since)
    if selection.until is not None:
        rows = rows.filter(occurred_at__lt=selection.until)
    return rows


def _batches(
    rows: QuerySet[EventRecord], routes: Sequence[Route], dry_run: bool
) -> Iterator[tuple[int, list[Delivery]]]:
    """Yield how many events each batch read, with the deliveries that they got."""
    alias = conf.database
    with_data = any(route.when is not None for route in routes)
    size = _BATCH_WITH_DATA if with_data else _BATCH
    rows = rows.order_by("occurred_at", "pk")
    rows = rows if with_data else rows.defer("data")
    rest = rows
    while True:
        with nullcontext() if dry_run else locked_history(alias):
            records = list(rest[:size])
            deliveries = [each for record in records for each in _deliveries(record, routes)]
            if not dry_run:
                Delivery.objects.using(alias).bulk_create(deliveries, batch_size=_BATCH)
        if not records:
            return
        yield len(records), deliveries
        rest = rows.filter(_after(records[-1]))


def _after(last: EventRecord) -> Q:
    # The first condition is the one that an index serves.
    return Q(occurred_at__gte=last.occurred_at) & (
        Q(occurred_at__gt=last.occurred_at) | Q(pk__gt=last.pk)
    )


def _deliveries(record: EventRecord, routes: Sequence[Route]) -> Iterator[Delivery]:
    for route in routes:
        if not route.matches(record.name) or route.sender not in (None, record.sender):
            continue
        if route.when is not None and not _accepts(route, record):
            continue
        yield Delivery(event_id=record.pk, route=route.name, lane=lane_of(route, record.key))


def _accepts(route: Route, record: EventRecord) -> bool:
    try:
        event = stored_event(record)
    except Exception:
        # The payload cannot be read, or `upcast` failed: so does its handling, and that is seen.
        return True
    return route.accepts(event)
