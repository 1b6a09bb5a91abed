"""Keeps the tables of routes and signals as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from core.events import registry
from core.events.declarations import declared
from core.events.pace import pace
from core.events.routing import routing


@contextmanager
def fresh_wiring() -> Iterator[None]:
    """Begin without routes; at the end routes, signals, adoptions and paces are what they were."""
    routes, signals, adopted = list(routing), declared.all(), dict(registry._adopted)
    for route in routes:
        routing.remove(route.name)
    _forget_paces()
    try:
        yield
    finally:
        for route in list(routing):
            routing.remove(route.name)
        for route in routes:
            routing.add(route)
        for name, (signal, _) in registry._adopted.items():
            if name not in adopted:
                signal.disconnect(dispatch_uid=f"signalbox.adopt:{name}")
        declared._all = WeakSet(signals)
        registry._adopted = adopted
        _forget_paces()


def _forget_paces() -> None:
    # How long the handlers of another test took says nothing about this one's.
    pace._seconds.clear()
    pace._bytes.clear()
