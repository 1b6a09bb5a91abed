"""A route to which apps may add events of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.events import EventSignal, registry


class GrowingRoute:
    """One handler, and the events that reach it: first none, then those that are added."""

    def __init__(self, handler: Callable[..., Any], **options: Any) -> None:
        self._handler = handler
        self._options = options
        # A dict keeps the order and drops repeats.
        self._patterns: dict[str, None] = {}

    def add(self, *signals_or_globs: EventSignal | str) -> None:
        """Let these events reach the handler as well."""
        names = [each if isinstance(each, str) else each.name for each in signals_or_globs]
        self._patterns.update(dict.fromkeys(names))
        # The same handler under the same name again replaces its line in the registry.
        registry.route(*self._patterns, **self._options)(self._handler)
