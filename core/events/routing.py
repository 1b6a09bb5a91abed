"""Which routes an event takes: the routes of this process and the match by name."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any

from asgiref.sync import async_to_sync

from core.events.errors import DuplicateRoute
from core.events.event import Event
from core.events.retry import Backoff

logger = logging.getLogger(__name__)

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` events in any `period` seconds."""

    count: int
    period: float


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One line of the wiring table: which events go to which handler, and how.

    The fields are the options of `registry.route`; `sender` is a label, `rate` a Rate.
    """

    name: str
    handler: Callable[..., Any]
    patterns: tuple[str, ...]
    queue: str
    batch_size: int
    atomic: bool
    ordered: bool
    coalesce: bool
    sender: str | None
    when: Callable[[Event], bool] | None
    max_attempts: int
    backoff: Backoff
    lease: float
    at_most_once: bool
    rate: Rate | None
    concurrency: int | None
    replay: bool

    def matches(self, event_name: str) -> bool:
        """Tell whether one of the patterns matches this event name."""
        return any(fnmatchcase(event_name, pattern) for pattern in self.patterns)

    def accepts(self, event: Event) -> bool:
        """Tell whether `when` holds; an error in it is logged and counts as True."""
        if self.when is None:
            return True
        try:
            return bool(self.when(event))
        except Exception as error:
            logger.error(
                "route %s: `when` failed for event %s (%s) and counts as true: %s",
                self.name,
                event.id,
                event.name,
                type(error).__name__,
            )
            return True

    def call(self, events: list[Event]) -> None:
        """Call the handler with one event or a list, as the route says."""
        result = self.handler(events if self.batch_size > 1 else events[0])
        if inspect.isawaitable(result):
            async_to_sync(_awaited)(result)

    def same_as(self, other: Route) -> bool:
        """Tell whether this is the same line of the wiring table once more."""
        compared = (each.name for each in fields(self) if each.name not in ("handler", "when"))
        return (
            _is_same_handler(self.handler, other.handler)
            and is_same_code(self.when, other.when)
            and all(getattr(self, name) == getattr(other, name) for name in compared)
        )

    @property
    def limited(self) -> bool:
        """Whether claims of this route are counted over all workers."""
        return self.rate is not None or self.concurrency is not None

    @property
    def origin(self) -> str:
        """Where the handler is defined, as `module.qualname`."""
        return dotted_path(self.handler)


def _is_same_handler(one: Any, other: Any) -> bool:
    """Tell whether two handlers are one, though its module may have been loaded twice."""
    if one is other:
        return True
    one, other = _function(one), _function(other)
    # A nested function may exist more than once.
    return one is not None and "<" not in one.__qualname__ and is_same_code(one, other)


def is_same_code(one: Any, other: Any) -> bool:
    """Tell whether two functions are one, though its module may have been loaded twice."""
    return one is other or (
        inspect.isfunction(one)
        and inspect.isfunction(other)
        and dotted_path(one) == dotted_path(other)
        and one.__code__.co_filename == other.__code__.co_filename
        and one.__code__.co_firstlineno == other.__code__.co_firstlineno
    )


def _function(handler: Any) -> Any:
    """Return the function of a handler or of a Celery task, None for other callables."""
    run = getattr(handler, "run", None)
    handler = handler if run is None else getattr(run, "__func__", run)
    return handler if inspect.isfunction(handler) else None


def _clash(known: Route, route: Route) -> str:
    if _is_same_handler(known.handler, route.handler):
        return (
            f"{route.origin} is registered as {route.name!r} already, with other signals or "
            "options: give each of its routes a name with name=..., or unroute() the one before"
        )
    return (
        f"the route name {route.name!r} belongs to {known.origin} already; "
        f"give {route.origin} another one with name=..."
    )


async def _awaited(result: Awaitable[object]) -> None:
    await result


def dotted_path(handler: Any) -> str:
    """Return the name under which the handler of a route is known by default."""
    handler = getattr(handler, "run", handler)
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}.{named.__qualname__}"


def is_glob(pattern: str) -> bool:
    """Tell whether a pattern can match more than its own text."""
    return bool(_GLOB.search(pattern))


class Routing:
    """The routes by name; matching is remembered for each event name."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._routes: dict[str, Route] = {}
        self._matches: dict[str, tuple[Route, ...]] = {}

    def add(self, route: Route) -> None:
        """Add a route.

        Raises DuplicateRoute when the name is taken. The same function with the same patterns and
        options again (a second autodiscovery, a module that is loaded anew) replaces its route.
        """
        with self._lock:
            known = self._routes.get(route.name)
            if known is not None and not known.same_as(route):
                raise DuplicateRoute(_clash(known, route))
            self._routes[route.name] = route
            self._matches = {}

    def remove(self, name: str) -> Route | None:
        """Remove a route and return it, or None when there is none."""
        with self._lock:
            self._matches = {}
            return self._routes.pop(name, None)

    def match(self, event_name: str) -> tuple[Route, ...]:
        """Return the routes whose patterns match this event name."""
        found = self._matches.get(event_name)
        if found is None:
            with self._lock:
                matches = self._matches
                routes = tuple(self._routes.values())
            found = tuple(route for route in routes if route.matches(event_name))
            # A change meanwhile has replaced the dictionary, and this entry is lost with it.
            matches[event_name] = found
        return found

    def get(self, name: str) -> Route | None:
        return self._routes.get(name)

    def of_queues(self, queues: set[str] | None) -> list[Route]:
        """Return the routes on these queues; None: on all."""
        return [route for route in self if queues is None or route.queue in queues]

    def __iter__(self) -> Iterator[Route]:
        return iter(tuple(self._routes.values()))

    def __len__(self) -> int:
        return len(self._routes)


routing = Routing()
