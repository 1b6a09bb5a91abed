"""The signals that this process has declared, and the one that tells of a death."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from django.dispatch import Signal

if TYPE_CHECKING:
    from core.events.signals import EventSignal

delivery_died = Signal()
"""Sent when a delivery is dead. Arguments: sender (the route's name), event, delivery_id, error."""


class Declared:
    """The signals of this process by name; the one declared last is the current one."""

    def __init__(self) -> None:
        self._all: WeakSet[EventSignal] = WeakSet()
        self._order: dict[int, int] = {}
        self._count = 0

    def add(self, signal: EventSignal) -> None:
        self._count += 1
        self._order[id(signal)] = self._count
        self._all.add(signal)

    def get(self, name: str) -> EventSignal | None:
        """Return the signal of this name, or None."""
        found = self.named(name)
        return found[-1] if found else None

    def named(self, name: str) -> list[EventSignal]:
        """Return every living signal of this name, oldest first."""
        return [signal for signal in self.all() if signal.name == name]

    def all(self) -> list[EventSignal]:
        """Return every living signal, oldest first."""
        return sorted(self._all, key=lambda signal: self._order[id(signal)])


declared = Declared()
