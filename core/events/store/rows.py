"""The tables, and what goes to a store and comes from it: rows, wants, scopes and releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from core.events.state import State

if TYPE_CHECKING:
    from core.events.routing import Route

EVENT = "signalbox_events_event"
DELIVERY = "signalbox_events_delivery"
SETTLEMENT = "signalbox_events_settlement"
ROUTE = "signalbox_events_route"
DUTY = "signalbox_events_duty"

EVENT_COLUMNS = (
    "name, version, data, sensitive, sender, key, actor_id, tenant_id, correlation_id, causation_id"
)
CLAIMED_COLUMNS = (
    "d.id, d.route, d.lane, d.attempts, d.failures, d.suspect, e.id, e.name, e.version, e.data, "
    "e.sensitive, e.sender, e.key, e.occurred_at, e.actor_id, e.tenant_id, e.correlation_id, "
    "e.causation_id"
)


class Claimed(NamedTuple):
    """A delivery under lease, with its event."""

    id: int
    route: str
    lane: str | None
    attempts: int
    failures: int
    suspect: bool
    event_id: UUID
    name: str
    version: int
    data: str
    sensitive: str
    sender: str
    key: str | None
    occurred_at: datetime
    actor_id: str | None
    tenant_id: str | None
    correlation_id: str | None
    causation_id: UUID | None


class Lapsed(NamedTuple):
    """A delivery whose lease ran out; `row` is None when its event is gone."""

    id: int
    route: str
    token: int
    started: bool
    row: Claimed | None


@dataclass(frozen=True, slots=True)
class Want:
    """How many deliveries of a route a claim may take."""

    route: Route
    limit: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What narrows or widens a claim.

    Only these events; not these deliveries; those that wait for their backoff as well; and whether
    to look thoroughly, for late commits too, or where this process left off.
    """

    events: Sequence[UUID] | None = None
    exclude: Sequence[int] = ()
    scheduled: bool = False
    thorough: bool = True


@dataclass(slots=True)
class Release:
    """How a delivery goes back: its next state, and what is added to its counts."""

    id: int
    state: State
    delay: float | None = None
    attempts: int = 0
    failures: int = 0
    error: str | None = None
    suspect: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "state": int(self.state),
            "delay": self.delay,
            "attempts": self.attempts,
            "failures": self.failures,
            "error": self.error,
            "suspect": self.suspect,
        }


@dataclass(slots=True)
class Due:
    """What a route has that could be claimed now: its first ready and first waiting delivery."""

    ready: int | None
    waiting: str | None
