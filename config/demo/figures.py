"""Where the deliveries are: the engine's own status, and how many are settled."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Sum

from core.events.models import Settlement
from core.events.status import status


@dataclass(frozen=True)
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
        return RouteFigures(
            "total",
            settled=sum(each.settled for each in self.routes),
            due=sum(each.due for each in self.routes),
            leased=sum(each.leased for each in self.routes),
            retrying=sum(each.retrying for each in self.routes),
            dead=sum(each.dead for each in self.routes),
        )


def read() -> Snapshot:
    """Return the figures of now."""
    now = status()
    settled = dict(Settlement.objects.order_by().values_list("route").annotate(Sum("count")))
    routes = [
        RouteFigures(
            each.route,
            settled=settled.get(each.route, 0),
            due=each.due,
            leased=each.leased,
            retrying=each.retrying,
            dead=each.dead,
        )
        for each in now.routes
    ]
    return Snapshot(now.events, routes)
