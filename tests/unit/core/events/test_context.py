"""Who acts and why, from the request into the handler and out again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, User

from core.context import current_context
from core.events import (
    Event,
    EventSignal,
    capture_events,
    deliver_pending,
    event_context,
    registry,
)
from tests.unit.core.events.support import record_route


def fired(**payload: Any) -> Event:
    """Fire an event and return it."""
    with capture_events() as events:
        EventSignal("order.paid").send(sender=None, **payload)
    return events[0]


def test_without_a_context_an_event_is_its_own_correlation() -> None:
    """What begins a chain gives the chain its id."""
    event = fired()
    assert (event.actor_id, event.tenant_id, event.causation_id) == (None, None, None)
    assert event.correlation_id == str(event.id)


def test_contexts_nest() -> None:
    """What an inner block does not give stays as it was; at its end the outer one is back."""
    with event_context(actor="alice", tenant="acme", correlation_id="c"):
        with event_context(actor="bob"):
            inner = fired()
        with event_context(tenant=None):
            cleared = fired()
        outer = fired()
    assert (inner.actor_id, inner.tenant_id, inner.correlation_id) == ("bob", "acme", "c")
    assert (cleared.actor_id, cleared.tenant_id) == ("alice", None)
    assert (outer.actor_id, outer.tenant_id) == ("alice", "acme")
    assert fired().actor_id is None


def test_a_context_ends_with_an_error_too() -> None:
    """Nothing leaks into the next request."""
    with pytest.raises(RuntimeError), event_context(actor="alice"):
        raise RuntimeError
    assert current_context().actor_id is None


@pytest.mark.parametrize(
    ("actor", "actor_id"),
    [
        (User(pk=7), "7"),
        (AnonymousUser(), None),
        ("alice", "alice"),
        (5, "5"),
        (UUID(int=1), str(UUID(int=1))),
        (None, None),
    ],
    ids=["user", "anonymous", "text", "number", "uuid", "none"],
)
def test_an_actor_is_a_user_or_an_id(actor: Any, actor_id: str | None) -> None:
    """A user counts by primary key; nobody counts as None."""
    with event_context(actor=actor):
        assert fired().actor_id == actor_id


@pytest.mark.parametrize("value", ["", "x" * 129, "a\x00b"], ids=repr)
def test_an_id_that_cannot_be_stored_is_refused_at_once(value: str) -> None:
    """The error comes from the block that sets it, not from an event much later."""
    with pytest.raises(ValueError, match="actor"), event_context(actor=value):
        pass


@pytest.mark.parametrize("value", [True, 1.5, object(), {"id": 1}, b"x", Exception])
def test_what_is_no_id_is_refused(value: Any) -> None:
    """What happens to have a text is not taken for an id."""
    with pytest.raises(TypeError, match="actor_id must be"), event_context(actor=value):
        pass


@pytest.mark.django_db
def test_a_handlers_events_know_what_caused_them() -> None:
    """They inherit actor, tenant and correlation; their cause is the event being handled."""
    child = EventSignal("order.shipped")
    children = record_route("order.shipped", name="children")

    @registry.route("order.paid", name="parent")
    def ship(event: Event) -> None:
        assert current_context().actor_id == "alice"
        child.send(sender=None)

    with event_context(actor="alice", tenant="acme", correlation_id="request-1"):
        EventSignal("order.paid").send(sender=None)
    deliver_pending()
    (event,) = children.events
    assert (event.actor_id, event.tenant_id, event.correlation_id) == ("alice", "acme", "request-1")
    assert event.causation_id is not None
    assert current_context().actor_id is None


@pytest.mark.django_db
def test_causes_chain() -> None:
    """Each event names the one before it; all share the correlation of the first."""
    names = ["a.1", "a.2", "a.3"]
    signals = {name: EventSignal(name) for name in names}
    chain: list[Event] = []

    @registry.route("a.*", name="chain")
    def go_on(event: Event) -> None:
        chain.append(event)
        following = names.index(event.name) + 1
        if following < len(names):
            signals[names[following]].send(sender=None)

    signals["a.1"].send(sender=None)
    deliver_pending()
    first, second, third = chain
    assert first.causation_id is None
    assert (second.causation_id, third.causation_id) == (first.id, second.id)
    assert {event.correlation_id for event in chain} == {str(first.id)}


@pytest.mark.django_db
def test_a_batch_passes_on_what_its_events_share() -> None:
    """With several actors in a batch, what it fires has none; what they agree on stays."""
    signal = EventSignal("order.paid")
    inherited: list[Any] = []

    @registry.route("order.paid", name="batch", batch_size=10)
    def note(events: list[Event]) -> None:
        inherited.append(current_context())

    for actor in ("alice", "bob"):
        with event_context(actor=actor, tenant="acme"):
            signal.send(sender=None)
    deliver_pending()
    assert (inherited[0].actor_id, inherited[0].tenant_id) == (None, "acme")


@pytest.mark.django_db
def test_the_context_of_a_delivery_ends_with_it() -> None:
    """A handler that fails leaves no context behind for the next one."""
    seen: list[str | None] = []

    @registry.route("order.paid", name="failing")
    def fail(event: Event) -> None:
        seen.append(current_context().actor_id)
        raise RuntimeError

    signal = EventSignal("order.paid")
    for actor in ("alice", "bob", None):
        with event_context(actor=actor):
            signal.send(sender=None)
    deliver_pending()
    assert seen == ["alice", "bob", None]
    assert current_context().actor_id is None
