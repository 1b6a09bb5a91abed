"""Handlers that try to end the process, and handlers that nobody could call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from core.events import Event, EventSignal, InvalidRoute, deliver_pending, registry
from tests.unit.core.events.support import only_delivery, record_route, rounds, settled

FORMS: dict[str, Callable[[Any], str]] = {
    "plain": str,
    "url": lambda secret: quote(str(secret), safe=""),
    "json": json.dumps,
    "repr": repr,
}


def fire(number: int = 1, **payload: Any) -> None:
    """Fire so many events."""
    signal = EventSignal("order.paid", sensitive={"secret"})
    signal.send_many(sender=None, payloads=[{"n": n} | payload for n in range(number)])


@pytest.mark.django_db
@pytest.mark.parametrize("error", [SystemExit(1), SystemExit(), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("atomic", [False, True], ids=["plain", "atomic"])
def test_a_handler_that_quits_has_failed(error: BaseException, atomic: bool) -> None:
    """`sys.exit()` in a library does not end the worker, nor spare the event its failure."""

    def behave(events: list[Event]) -> None:
        if events[0].data["n"] == 1:
            raise error

    record_route("order.*", atomic=atomic, max_attempts=2).behave = behave
    fire(3)
    assert deliver_pending() == {"route": {"done": 2, "failed": 1}}
    assert type(error).__name__ in (only_delivery().error or "")
    assert rounds(1) == [{"route": {"dead": 1}}]
    assert settled() == {"done": 2}


def no_argument() -> None:
    """Take nothing."""


def two_arguments(event: Event, more: int) -> None:
    """Take too much."""


def keyword_only(*, event: Event) -> None:
    """Take it by name."""


def generator(event: Event) -> Iterator[int]:
    """Do nothing when called."""
    yield 1


async def asynchronous_generator(event: Event) -> AsyncIterator[int]:
    """Do nothing when called."""
    yield 1


@pytest.mark.parametrize(
    "handler",
    [no_argument, two_arguments, keyword_only, generator, asynchronous_generator],
    ids=lambda handler: handler.__name__,
)
def test_a_handler_that_could_never_work_is_refused(handler: Any) -> None:
    """The mistake is told where it was made, by the handler's name, not at the first event."""
    with pytest.raises(InvalidRoute, match=handler.__name__):
        registry.route("order.*")(handler)
    assert registry.routes() == []


@pytest.mark.django_db
def test_routes_do_not_see_each_others_changes_to_a_payload() -> None:
    """Each route has an event of its own, however deep one digs."""
    seen: list[Any] = []

    def spoil(event: Event) -> None:
        seen.append((event.data["list"][:], dict(event.data["nested"]["more"]), event.data["set"]))
        event.data["list"].append("spoilt")
        event.data["nested"]["more"]["spoilt"] = True
        event.data["set"] = event.data["set"] | {"spoilt"}
        event.data.clear()

    for name in ("one", "two", "three"):
        registry.route("order.*", name=name)(spoil)
    EventSignal("order.paid").send(sender=None, list=[1], nested={"more": {"a": [1]}}, set={1})
    deliver_pending()
    assert seen == [([1], {"a": [1]}, {1})] * 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    "secret", ["+49 151/234", "ünï cödé", 'quote " and \\ slash', "line\nbreak", 4912345678]
)
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_hidden_however_it_was_written(secret: Any, form: str) -> None:
    """Providers quote what they got in addresses, JSON and Python; none of it is kept."""
    import json
    from urllib.parse import quote

    write = {
        "plain": str,
        "url": lambda s: quote(str(s), safe=""),
        "json": json.dumps,
        "repr": repr,
    }
    text = write[form](secret)

    def behave(events: list[Event]) -> None:
        events[0].data.clear()
        raise ValueError(f"refused: {text}")

    record_route("order.*").behave = behave
    fire(secret=secret)
    deliver_pending()
    error = only_delivery().error or ""
    assert "***" in error
    assert str(secret) not in error
    assert text.strip("\"'") not in error
