"""What is logged within a handler says which event it is about."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from core.context import bound_fields, current_context, current_fields
from core.events import Event, EventSignal, deliver_pending
from core.logs import parse_line
from core.logs.formatter import LineFormatter
from tests.unit.core.events.support import committing, record_route

pytestmark = committing


class Lines(logging.Handler):
    """Keeps the lines that are written, read back."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter(service="worker"))
        self.found: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(parse_line(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The lines so far."""
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.found
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def signal() -> EventSignal:
    """The signal that the routes listen to."""
    return EventSignal("order.paid")


def test_of_one_event(signal: EventSignal, lines: list[dict[str, Any]]) -> None:
    """Route, event, delivery, attempt and correlation id; also in the line about its failure."""

    def behave(events: list[Event]) -> None:
        logging.getLogger("shop").warning("working")
        raise ValueError("no")

    recorder = record_route("order.*", name="shop.receipt", max_attempts=1)
    recorder.behave = behave
    signal.send(sender=None)
    deliver_pending()
    (event,) = recorder.events
    mine = [line for line in lines if line["logger"] in ("shop", "core.events.handling")]
    assert len(mine) == 2
    for line in mine:
        assert line["correlation_id"] == str(event.id)
        assert (line["route"], line["event_id"]) == ("shop.receipt", str(event.id))
        assert (line["delivery_id"], line["attempt"]) == (event.delivery_id, 1)


def test_of_a_batch(signal: EventSignal, lines: list[dict[str, Any]]) -> None:
    """The route and how many events; no single one."""
    record_route("order.*", name="shop.receipt", batch_size=10).behave = lambda events: (
        logging.getLogger("shop").warning("working")
    )
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(3)])
    deliver_pending()
    (line,) = [line for line in lines if line["logger"] == "shop"]
    assert (line["route"], line["events"], "event_id" in line) == ("shop.receipt", 3, False)


def test_nothing_is_left_afterwards(signal: EventSignal) -> None:
    """Neither fields nor context outlast the call of a handler."""
    record_route("order.*")
    signal.send(sender=None)
    deliver_pending()
    assert dict(current_fields()) == {}
    assert current_context().correlation_id is None


def test_tasks_of_asyncio_have_fields_of_their_own() -> None:
    """Blocks that run at the same time in one thread do not mix."""
    found: dict[str, Any] = {}

    async def work(name: str) -> None:
        with bound_fields(name=name):
            await asyncio.sleep(0)
            found[name] = dict(current_fields())

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(both())
    assert found == {"a": {"name": "a"}, "b": {"name": "b"}}
