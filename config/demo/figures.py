"""Where the deliveries are, read from the engine's tables."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.db.models import Count, Sum

from core.events import registry
from core.events.models import Delivery, EventRecord, Settlement
from core.events.state import State

COLUMNS = {
    State.READY: "due",
    State.LEASED: "leased",
    State.WAITING: "retrying",
    State.DEAD: "dead",
}


@dataclass
class RouteFigures:
    """How many deliveries of a route are settled, and where the others are."""

    route: str
    settled: int = 0
    due: int = 0
    leased: int = 0
    retrying: int = 0
    dead: int = 0

    @property
    def pending(self) -> int:
        """Those that will be handled without anybody's help."""
        return self.due + self.leased + self.retrying


@dataclass(frozen=True)
class Snapshot:
    """The figures of one moment."""

    events: int
    routes: list[RouteFigures]

    @property
    def total(self) -> RouteFigures:
        """The sum over all routes."""
        counts = [field.name for field in fields(RouteFigures) if field.type == "int"]
        return RouteFigures(
            "total", **{name: sum(getattr(each, name) for each in self.routes) for name in counts}
        )


def read() -> Snapshot:
    """Return the figures of now."""
    routes: dict[str, RouteFigures] = {
        route.name: RouteFigures(route.name) for route in registry.routes()
    }
    for route, count in _settled().items():
        routes.setdefault(route, RouteFigures(route)).settled = count
    for (route, state), count in _unsettled().items():
        setattr(routes.setdefault(route, RouteFigures(route)), COLUMNS[State(state)], count)
    return Snapshot(EventRecord.objects.count(), sorted(routes.values(), key=lambda r: r.route))


def _settled() -> dict[str, int]:
    sums = Settlement.objects.order_by().values_list("route").annotate(Sum("count"))
    return dict(sums)


def _unsettled() -> dict[tuple[str, int], int]:
    counts = Delivery.objects.order_by().values_list("route", "state").annotate(Count("id"))
    return {(route, state): count for route, state, count in counts}
