"""Selection: which deliveries, or which stored events, an operation is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from django.db.models import QuerySet

from core.events.conf import conf
from core.events.declarations import declared
from core.events.errors import EventsError, UndeclaredEvent, UnknownRoute
from core.events.models import Delivery, RouteState
from core.events.routing import Route, routing
from core.events.state import State
from core.events.suggest import did_you_mean

Progress = Callable[[int, int | None], object]
"""Called with how many rows are through, and of how many where that is known."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Names or globs of routes and of events, and when the events happened; nothing means all.

    `since` is included and `until` is not. `ids` names deliveries themselves.
    """

    routes: Sequence[str] = ()
    events: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[int] | None = None

    def names(self, route: str) -> bool:
        """Tell whether a route was chosen by its name, or its deliveries by theirs."""
        return self.ids is not None or route in self.routes


def quiet(done: int, total: int | None) -> None:
    """Report no progress."""


def known_routes() -> list[str]:
    """Return the names of all routes: the registered ones, and those that have rows left."""
    states = RouteState.objects.using(conf.database).values_list("name", flat=True)
    return sorted({route.name for route in routing} | set(states) | set(delivered_routes()))


def delivered_routes() -> Iterator[str]:
    """Yield the names that stand in open deliveries, some of them more than once.

    Skips from name to name in the partial indexes, since a backlog may have millions of rows.
    """
    rows = Delivery.objects.using(conf.database).order_by("route").values_list("route", flat=True)
    for state in (State.READY, State.WAITING, State.DEAD):
        name: str | None = ""
        while (name := rows.filter(state=state, route__gt=name).first()) is not None:
            yield name
    yield from rows.filter(state=State.LEASED).distinct()


def choose_routes(selection: Selection, known: Sequence[str] | None = None) -> list[str]:
    """Return the names of the routes that are meant, out of those known to code or database.

    Raises UnknownRoute with a suggestion.
    """
    return _choose(
        selection.routes, known_routes() if known is None else known, UnknownRoute, "route"
    )


def choose_events(patterns: Sequence[str], stored: Iterable[str]) -> list[str]:
    """Return the event names that are meant, out of the declared and the stored ones.

    Raises UndeclaredEvent with a suggestion.
    """
    known = {signal.name for signal in declared.all()} | set(stored)
    return _choose(patterns, sorted(known), UndeclaredEvent, "event")


def open_deliveries(
    selection: Selection, routes: Sequence[str], states: Sequence[State]
) -> QuerySet[Delivery]:
    """Return the deliveries of these routes, in these states, that the selection is about."""
    rows = Delivery.objects.using(conf.database).filter(route__in=routes, state__in=states)
    if selection.ids is not None:
        rows = rows.filter(pk__in=selection.ids)
    if selection.since is not None:
        rows = rows.filter(event__occurred_at__gte=selection.since)
    if selection.until is not None:
        rows = rows.filter(event__occurred_at__lt=selection.until)
    if selection.events:
        stored = rows.order_by().values_list("event__name", flat=True).distinct()
        rows = rows.filter(event__name__in=choose_events(selection.events, stored))
    return rows


def needs_naming(route: Route | None) -> str | None:
    """Return why a route takes part in repetitions only when it is named, or None."""
    if route is None:
        return "not registered here, so whether it may be repeated is unknown"
    return "at_most_once" if route.at_most_once else None


def _choose(
    patterns: Sequence[str], known: Sequence[str], error: type[EventsError], kind: str
) -> list[str]:
    chosen = [name for name in known if not patterns or _matches(name, patterns)]
    for pattern in patterns:
        if not any(_matches(name, [pattern]) for name in known):
            raise error(
                f"no {kind} is called {pattern!r}, and none matches it{suggestion(pattern, known)}"
            )
    return chosen


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def suggestion(word: str, choices: Sequence[str]) -> str:
    """Return the end of a message about a word that is none of these."""
    meant = did_you_mean(word, choices)
    if meant:
        return meant
    return f"; there are: {', '.join(choices)}" if choices else "; there is none"
