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

    def add(self, signal: EventSignal) -> None:
        """Add a signal; it stays for as long as somebody holds it."""
        living = [kept for kept in self._named.get(signal.name, []) if kept() is not None]
        self._named[signal.name] = [*living, ref(signal)]

    def get(self, name: str) -> EventSignal | None:
        """Return the signal of this name that was declared last, or None."""
        for kept in reversed(self._named.get(name, ())):
            signal = kept()
            if signal is not None:
                return signal
        return None

    def all(self) -> list[EventSignal]:
        """Return every living signal, those of one name oldest first."""
        found = [kept() for named in list(self._named.values()) for kept in named]
        return [signal for signal in found if signal is not None]


declared = Declared()
