"""A route to which apps may add events of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.events import EventSignal, registry


class GrowingRoute:
    """One handler, and the events that reach it: first none, then those that are added."""

    def __init__(self, handler: Callable[..., Any], *, name: str, **options: Any) -> None:
        self._handler = handler
        self._name = name
        self._options = options
        # A dict keeps the order and drops repeats.
        self._patterns: dict[str, None] = {}

    def add(self, *signals_or_globs: EventSignal | str) -> None:
        """Let these events reach the handler as well."""
        names = [each if isinstance(each, str) else each.name for each in signals_or_globs]
        self._patterns.update(dict.fromkeys(names))
        for route in registry.routes():
            if route.name == self._name and route.handler is self._handler:
                registry.unroute(self._name)
        registry.route(*self._patterns, name=self._name, **self._options)(self._handler)
