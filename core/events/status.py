"""Status: where the deliveries of each route are, and how fast they go."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import connections
from django.db.models import Count, Min, Q, QuerySet, Sum
from django.db.models.functions import Now

from core.events.conf import conf
from core.events.models import Delivery, EventRecord, RouteState, Settlement
from core.events.routing import routing
from core.events.selection import Selection, choose_routes, open_deliveries
from core.events.state import State

_RATE_SECONDS = 60
# Tables that are thought to be smaller than this are counted, larger ones are estimated.
_COUNTED = 100_000
# Each may be missing or old: one comes from the last ANALYZE, one from counting changes.
_ESTIMATE = """
    SELECT GREATEST(c.reltuples, s.n_live_tup)::bigint
    FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid WHERE c.oid = %s::regclass
"""

_DUE = Q(state=State.READY) | Q(state=State.WAITING, due_at__lte=Now())


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """The deliveries of one route.

    `due` may be handled now, `retrying` waits for its time, `orphaned` is how many wait for a
    route that is not registered. `oldest_seconds` is the age of the event that is next in line,
    dead deliveries left aside; `rate` is how many were settled per second over the last minute.
    """

    route: str
    queue: str | None = None
    due: int = 0
    leased: int = 0
    retrying: int = 0
    dead: int = 0
    orphaned: int = 0
    paused: bool = False
    oldest_seconds: float | None = None
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the engine: its routes, and how many events are stored."""

    routes: list[RouteStatus]
    events: int
    events_estimated: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def status(selection: Selection | None = None) -> Status:
    """Return where the deliveries are; costs a pass over unfinished work only.

    Raises UnknownRoute or UndeclaredEvent when a name of the selection matches nothing.
    """
    selection = selection or Selection()
    names = choose_routes(selection)
    rows = open_deliveries(selection, names, list(State))
    counts = _counts(rows)
    ages = _ages([row["first"] for row in counts.values() if row["first"] is not None])
    rates = _rates()
    paused = set(
        RouteState.objects.using(conf.database).filter(paused=True).values_list("name", flat=True)
    )
    shown = [name for name in names if name in counts or name in paused or routing.get(name)]
    routes = [
        _route(name, counts.get(name, {}), name in paused, ages.get(name), rates.get(name, 0))
        for name in shown
    ]
    events, estimated = _count_events()
    return Status(routes, events, estimated)


def _route(
    name: str, row: dict[str, Any], paused: bool, age: float | None, settled: int
) -> RouteStatus:
    route = routing.get(name)
    counts = {key: row.get(key, 0) for key in ("due", "leased", "retrying", "dead")}
    return RouteStatus(
        route=name,
        queue=route.queue if route else None,
        **counts,
        orphaned=0 if route else sum(counts.values()),
        paused=paused,
        oldest_seconds=age,
        rate=round(settled / _RATE_SECONDS, 2),
    )


def _counts(rows: QuerySet[Delivery]) -> dict[str, dict[str, Any]]:
    found = (
        rows.order_by()
        .values("route")
        .annotate(
            due=Count("pk", filter=_DUE),
            leased=Count("pk", filter=Q(state=State.LEASED)),
            retrying=Count("pk", filter=Q(state=State.WAITING, due_at__gt=Now())),
            dead=Count("pk", filter=Q(state=State.DEAD)),
            first=Min("pk", filter=~Q(state=State.DEAD)),
        )
    )
    return {row["route"]: dict(row) for row in found}


def _ages(firsts: list[int]) -> dict[str, float]:
    rows = Delivery.objects.using(conf.database).filter(pk__in=firsts)
    times = rows.values_list("route", "event__occurred_at", Now())
    return {
        route: max(0.0, round((now - occurred_at).total_seconds(), 1))
        for route, occurred_at, now in times
    }


def _rates() -> dict[str, int]:
    recent = Settlement.objects.using(conf.database).filter(
        settled_at__gt=Now() - timedelta(seconds=_RATE_SECONDS)
    )
    return dict(recent.order_by("route").values_list("route").annotate(Sum("count")))


def _count_events() -> tuple[int, bool]:
    connection = connections[conf.database]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_ESTIMATE, [EventRecord._meta.db_table])
            ((estimate,),) = cursor.fetchall()
        if estimate > _COUNTED:
            return int(estimate), True
    return EventRecord.objects.using(conf.database).count(), False
