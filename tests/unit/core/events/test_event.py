"""Event and ModelRef: what handlers get."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from core.events import Event, EventSignal, ModelRef, deliver_pending, event_context
from tests.unit.core.events.support import record_route


@pytest.mark.django_db
def test_what_a_handler_gets() -> None:
    """An event tells what happened, to whom, when, by whom and why."""
    recorder = record_route("order.paid")
    signal = EventSignal("order.paid", version=4, key="order")
    before = timezone.now()
    with event_context(actor="alice", tenant="acme", correlation_id="request-1"):
        signal.send(sender=Group, order=5)
    deliver_pending()
    (event,) = recorder.events
    assert isinstance(event, Event)
    assert isinstance(event.id, UUID)
    assert event.id.version == 7
    assert (event.name, event.version, event.data) == ("order.paid", 4, {"order": 5})
    assert (event.sender, event.key) == ("auth.group", "5")
    assert (event.actor_id, event.tenant_id) == ("alice", "acme")
    assert (event.correlation_id, event.causation_id) == ("request-1", None)
    assert event.attempt == 1
    assert isinstance(event.delivery_id, str)
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert (
        before - timedelta(seconds=2) <= event.occurred_at <= timezone.now() + timedelta(seconds=2)
    )


@pytest.mark.django_db
def test_each_route_has_a_delivery_id_of_its_own() -> None:
    """The idempotency key is that of the delivery: two routes of one event differ."""
    first, second = record_route("a", name="first"), record_route("a", name="second")
    EventSignal("a").send(sender=None)
    deliver_pending()
    assert first.events[0].id == second.events[0].id
    assert first.events[0].delivery_id != second.events[0].delivery_id


def event(**fields: Any) -> Event:
    """Return an event."""
    return Event(
        **{
            "id": UUID(int=1),
            "name": "order.paid",
            "version": 1,
            "data": {"phone": "+49123", "n": 1},
            "sender": "",
            "key": None,
            "occurred_at": timezone.now(),
            "sensitive": frozenset({"phone"}),
        }
        | fields
    )


def test_an_event_is_frozen() -> None:
    """What happened does not change."""
    with pytest.raises(FrozenInstanceError):
        event().name = "other"  # type: ignore[misc] # what is tested


def test_an_event_can_be_printed_without_its_payload() -> None:
    """The repr goes to logs and tracebacks, so it shows no data."""
    assert "+49123" not in repr(event())
    assert "+49123" not in str(event())


def test_public_data_hides_sensitive_fields() -> None:
    """People see that there was a value, not the value."""
    assert event().public_data == {"phone": "***", "n": 1}


@pytest.mark.django_db
def test_a_reference_to_a_row_that_is_gone_says_so() -> None:
    """`get` raises the model's DoesNotExist, or LookupError for a model that is gone."""
    with pytest.raises(Group.DoesNotExist):
        ModelRef("auth.group", 404).get()
    with pytest.raises(LookupError):
        ModelRef("no.model", 1).get()


def test_references_are_equal_by_model_and_key() -> None:
    """How a row read then does not matter to which row it is."""
    assert ModelRef("a.b", 1, "then") == ModelRef("a.b", 1, "now")
    assert str(ModelRef("a.b", 1, "text")) == "a.b:1"
    assert len({ModelRef("a.b", 1), ModelRef("a.b", 1, "x"), ModelRef("a.b", 2)}) == 2
