"""Keeps the tables of routes and signals as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from core.events import registry
from core.events.declarations import declared
from core.events.pace import pace
from core.events.routing import routing


@contextmanager
def fresh_wiring() -> Iterator[None]:
    """Begin without routes; at the end routes, signals, adoptions and paces are what they were."""
    routes, adopted = list(routing), dict(registry._adopted)
    named, current = dict(declared._named), dict(declared._current)
    _set_routes([])
    _forget_paces()
    try:
        yield
    finally:
        _set_routes(routes)
        for name, adoption in registry._adopted.items():
            if name not in adopted:
                adoption.signal.disconnect(dispatch_uid=f"signalbox.adopt:{name}")
        registry._adopted = adopted
        declared._named, declared._current = named, current
        _forget_paces()


def _set_routes(routes: list[Any]) -> None:
    for route in list(routing):
        routing.remove(route.name)
    for route in routes:
        routing.add(route)


def _forget_paces() -> None:
    # How long the handlers of another test took says nothing about this one's.
    pace._seconds.clear()
    pace._bytes.clear()
