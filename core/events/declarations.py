"""The signals that this process has declared, and the one that tells of a death."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from django.dispatch import Signal

if TYPE_CHECKING:
    from core.events.signals import EventSignal

delivery_died = Signal()
"""Sent when a delivery is dead. Arguments: sender (the route's name), event, delivery_id, error."""


class Declared:
    """The signals of this process by name; the one declared last is the current one."""

    def __init__(self) -> None:
        self._named: dict[str, list[ref[EventSignal]]] = {}
        # Held, so that whether a stored event can be read does not hang on garbage collection.
        self._current: dict[str, EventSignal] = {}

    def add(self, signal: EventSignal) -> None:
        """Add a signal; it stays until another is declared under its name."""
        living = [kept for kept in self._named.get(signal.name, []) if kept() is not None]
        self._named[signal.name] = [*living, ref(signal)]
        self._current[signal.name] = signal

    def forget(self, name: str) -> None:
        """Take the signals of this name out, as if they had never been declared."""
        self._named.pop(name, None)
        self._current.pop(name, None)

    def get(self, name: str) -> EventSignal | None:
        """Return the signal of this name that was declared last, or None."""
        return self._current.get(name)

    def all(self) -> list[EventSignal]:
        """Return every living signal, those of one name oldest first."""
        found = [kept() for named in list(self._named.values()) for kept in named]
        return [signal for signal in found if signal is not None]


declared = Declared()
