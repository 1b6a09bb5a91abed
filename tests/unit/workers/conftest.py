"""What tests of the effects share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import uuid_utils

from config.demo.fakes import FakeServer, fake_server
from core.events import Event

MakeEvent = Callable[..., Event]


@pytest.fixture
def make_event() -> MakeEvent:
    """Return a function that builds an event as a handler gets it."""

    def make(name: str = "order.paid", *, data: dict[str, Any], **fields: Any) -> Event:
        values: dict[str, Any] = {
            "id": UUID(int=uuid_utils.uuid7().int),
            "version": 1,
            "sender": "shop.order",
            "key": None,
            "occurred_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
            "attempt": 1,
        }
        event = Event(name=name, data=data, **{**values, **fields})
        object.__setattr__(event, "delivery_id", fields.get("delivery_id", f"{event.id}:1"))
        return event

    return make


@pytest.fixture
def fakes() -> Iterator[FakeServer]:
    """A local Twilio, PostHog and webhook receiver."""
    with fake_server() as server:
        yield server
