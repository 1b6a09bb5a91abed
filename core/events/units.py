"""Units: what a handler sees as one event, and how a route's units are put together and sorted."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from core.events.event import Event
from core.events.store import Claimed
from core.events.stored import claimed_event, with_data
from core.events.trouble import secrets_of


@dataclass(slots=True)
class Unit:
    """What a handler sees as one event; with `coalesce`, older ones of its key share its fate."""

    event: Event
    members: list[Claimed]
    called: bool = False

    @property
    def lead(self) -> Claimed:
        return self.members[-1]

    @property
    def ids(self) -> list[int]:
        return [row.id for row in self.members]

    def keep(self, held: Container[int]) -> bool:
        """Forget the members that are not held any more; return whether any is left.

        When the newest is gone, the event is that of the newest left: the other is another's now.
        """
        lead = self.lead
        self.members = [row for row in self.members if row.id in held]
        if self.members and self.lead is not lead:
            self.event, self.called = with_data(claimed_event(self.lead), self.lead.data), False
        return bool(self.members)

    def secrets(self) -> set[str]:
        """Return the sensitive values of the event, for hiding them."""
        return secrets_of(self.event, self.lead.data)

    def fresh_event(self) -> Event:
        """Return the event for a call: what a call before changed in its payload is not seen."""
        if self.called:
            self.event = with_data(claimed_event(self.lead), self.lead.data)
        self.called = True
        return self.event


def coalesced(units: Iterable[Unit]) -> list[Unit]:
    """Return the newest unit of each key, holding the older ones; without a key each its own."""
    newest: dict[object, Unit] = {}
    for unit in units:
        key = unit.event.key if unit.event.key is not None else unit.event.id
        older = newest.pop(key, None)
        if older is not None:
            unit.members = [*older.members, *unit.members]
        newest[key] = unit
    return list(newest.values())


def batched(units: Sequence[Unit], size: int) -> list[list[Unit]]:
    """Return the units in lists of at most this size."""
    return [list(units[start : start + size]) for start in range(0, len(units), size)]


def sorted_out(
    units: Iterable[Unit], errors: Container[UUID]
) -> tuple[list[Unit], list[Unit], list[Unit]]:
    """Return the units that failed, those ahead of any failure in their lane, and those behind."""
    failed: list[Unit] = []
    ahead: list[Unit] = []
    behind: list[Unit] = []
    lanes: set[str] = set()
    for unit in units:
        lane = unit.lead.lane
        if unit.event.id in errors:
            failed.append(unit)
            lanes |= {lane} if lane is not None else set()
        else:
            (behind if lane in lanes else ahead).append(unit)
    return failed, ahead, behind


def secrets_in(units: Iterable[Unit]) -> set[str]:
    """Return the sensitive values of all these events."""
    return {secret for unit in units for secret in unit.secrets()}
