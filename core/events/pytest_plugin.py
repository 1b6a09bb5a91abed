"""Pytest fixtures for code that fires events or handles them.

Switch them on in the top `conftest.py`: `pytest_plugins = ["core.events.pytest_plugin"]`.

`captured_events`
    Events fired during the test are put into this list instead of the database, so the test needs
    none: `buy(ticket); assert [event.name for event in captured_events] == ["order.paid"]`.
`deliver_pending`
    A function that runs every due delivery here and now and returns counts per route and outcome:
    `buy(ticket); assert deliver_pending()["shop.routes.bill"] == {"done": 1}`. Needs the database;
    with `django_db` it works inside the test's transaction. `include_scheduled=True` also runs
    what waits for its backoff.
`dead_deliveries`
    A list of the deliveries that died during the test, as the arguments of `delivery_died`.
`muted_events`
    Nothing is recorded during the test; receivers still run.
`temporary_routes`
    The registry; routes that the test adds are gone after it.
`wakeups`
    A list of the sets of queues that would have been woken; nothing goes to a broker. For tests
    with `django_db(transaction=True)` or with `django_capture_on_commit_callbacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from core import events
from core.events import Event, SignalRegistry, wakeup

Deliver = Callable[..., dict[str, dict[str, int]]]


@pytest.fixture
def captured_events() -> Iterator[list[Event]]:
    """Give the list of the events fired during the test; none of them is recorded."""
    with events.capture_events() as captured:
        yield captured


@pytest.fixture
def deliver_pending(db: None) -> Deliver:
    """Give the function that runs every due delivery here and now."""
    return events.deliver_pending


@pytest.fixture
def dead_deliveries() -> Iterator[list[dict[str, Any]]]:
    """Give the list of the deliveries that died: route, event, delivery_id and error of each."""
    dead: list[dict[str, Any]] = []

    def note(sender: str, signal: Any, **arguments: Any) -> None:
        dead.append({"route": sender, **arguments})

    events.delivery_died.connect(note)
    yield dead
    events.delivery_died.disconnect(note)


@pytest.fixture
def muted_events() -> Iterator[None]:
    """Record no events during the test."""
    with events.muted():
        yield


@pytest.fixture
def temporary_routes() -> Iterator[SignalRegistry]:
    """Give the registry, and remove after the test the routes that it added."""
    before = {route.name for route in events.registry.routes()}
    yield events.registry
    for route in events.registry.routes():
        if route.name not in before:
            events.registry.unroute(route.name)


@pytest.fixture
def wakeups(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Give the list of the wake-ups, each the queues that it names; none is sent."""
    rung: list[set[str]] = []

    def ring(queues: Iterable[str], after: float = 0.0) -> None:
        rung.append(set(queues))

    monkeypatch.setattr(wakeup, "ring", ring)
    return rung
