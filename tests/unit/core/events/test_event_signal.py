"""EventSignal: an ordinary Django signal that leaves an event behind."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.dispatch import Signal, receiver

from core.events import EventPayloadError, EventSignal, InvalidSignal, capture_events
from core.events.declarations import declared


class Shop:
    """Somebody who sends."""


class Order:
    """What is sent."""


def test_it_is_a_django_signal() -> None:
    """Whoever knows Django's signals knows this one."""
    assert isinstance(EventSignal("order.paid"), Signal)


def test_receivers_get_what_was_sent() -> None:
    """An ordinary receiver gets sender, signal and the arguments themselves, not their encoding."""
    signal, order = EventSignal("order.paid"), Group(pk=5, name="g")
    got: list[dict[str, Any]] = []

    @receiver(signal, sender=Shop)
    def note(**arguments: Any) -> str:
        got.append(arguments)
        return "noted"

    with capture_events():
        answer = signal.send(sender=Shop, order=order)
        assert signal.send(sender=Order, order=order) == []
    assert answer == [(note, "noted")]
    assert got == [{"signal": signal, "sender": Shop, "order": order}]
    assert got[0]["order"] is order


def test_send_raises_what_a_receiver_raises() -> None:
    """As in Django, `send` lets a receiver's error through."""
    signal = EventSignal("order.paid")

    @receiver(signal)
    def fail(**_: Any) -> None:
        raise RuntimeError("receiver")

    with capture_events(), pytest.raises(RuntimeError, match="receiver"):
        signal.send(sender=Shop)


def test_send_robust_returns_what_a_receiver_raises(caplog: pytest.LogCaptureFixture) -> None:
    """As in Django, `send_robust` returns a receiver's error and calls the others."""
    signal = EventSignal("order.paid")

    @receiver(signal)
    def fail(**_: Any) -> None:
        raise RuntimeError("receiver")

    @receiver(signal)
    def work(**_: Any) -> int:
        return 1

    with capture_events() as events:
        (_, error), (_, one) = signal.send_robust(sender=Shop)
    assert isinstance(error, RuntimeError)
    assert one == 1
    assert len(events) == 1


def test_send_robust_never_swallows_a_bad_payload() -> None:
    """`send_robust` swallows receivers' errors, never the recording's."""
    with pytest.raises(EventPayloadError):
        EventSignal("order.paid").send_robust(sender=Shop, value=object())


@pytest.mark.parametrize("method", ["asend", "asend_robust"])
def test_asynchronous_sending(method: str) -> None:
    """`asend` and `asend_robust` record as well and call both kinds of receivers."""
    signal = EventSignal("order.paid")

    @receiver(signal)
    def plain(**_: Any) -> str:
        return "plain"

    @receiver(signal)
    async def asynchronous(**_: Any) -> str:
        return "asynchronous"

    async def fire() -> Any:
        with capture_events() as events:
            return await getattr(signal, method)(sender=Shop, n=1), events

    answers, events = asyncio.run(fire())
    assert {answer for _, answer in answers} == {"plain", "asynchronous"}
    assert [event.data for event in events] == [{"n": 1}]


def test_send_many_calls_receivers_for_each_payload() -> None:
    """`send_many` calls the receivers per payload and returns their answers per payload."""
    signal = EventSignal("order.paid")

    @receiver(signal)
    def double(n: int, **_: Any) -> int:
        return n * 2

    with capture_events() as events:
        answers = signal.send_many(sender=Shop, payloads=({"n": n} for n in range(3)))
    assert answers == [[(double, 0)], [(double, 2)], [(double, 4)]]
    assert [event.data["n"] for event in events] == [0, 1, 2]
    assert len({event.id for event in events}) == 3


def test_send_many_without_payloads_does_nothing() -> None:
    """No payload, no event."""
    with capture_events() as events:
        assert EventSignal("order.paid").send_many(sender=Shop, payloads=[]) == []
    assert events == []


@pytest.mark.parametrize("payload", [1, "text", None, [("a", 1)]], ids=repr)
def test_send_many_takes_mappings_only(payload: Any) -> None:
    """A payload that is not a mapping is a payload error that says what it is."""
    with pytest.raises(EventPayloadError, match=r"order\.paid.*mapping"):
        EventSignal("order.paid").send_many(sender=Shop, payloads=[payload])


@pytest.mark.parametrize("name", ["sender", "signal", "self"])
def test_send_many_refuses_the_names_that_send_itself_uses(name: str) -> None:
    """A payload field that receivers could never be given is refused before anything is written."""
    with capture_events() as events, pytest.raises(EventPayloadError, match=f"'{name}'"):
        EventSignal("order.paid").send_many(sender=Shop, payloads=[{name: 1}])
    assert events == []


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "order,paid", "-order", "ä.b", "x" * 101, "*", "order.*", None, 5]
)
def test_a_name_that_cannot_be_meant_so_is_refused(name: Any) -> None:
    """The error names the value and shows what a name looks like."""
    with pytest.raises(InvalidSignal, match=r"order\.paid") as caught:
        EventSignal(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("version", [0, -1, 1.0, "1", True, None, 2**15])
def test_a_version_is_a_positive_whole_number(version: Any) -> None:
    """Anything else is refused by signal and value."""
    with pytest.raises(InvalidSignal, match=r"order\.paid.*version="):
        EventSignal("order.paid", version=version)


@pytest.mark.parametrize("sensitive", ["phone", [""], ["two words"]])
def test_sensitive_is_a_set_of_names(sensitive: Any) -> None:
    """One string would be taken letter by letter, so it is refused."""
    with pytest.raises(InvalidSignal, match=r"order\.paid"):
        EventSignal("order.paid", sensitive=sensitive)


def test_an_unknown_option_is_refused_by_name() -> None:
    """A typo in a declaration does not pass silently."""
    with pytest.raises(TypeError, match="sensitiv"):
        EventSignal("order.paid", sensitiv={"phone"})  # type: ignore[call-arg] # what is tested


def test_the_signal_declared_last_is_the_current_one() -> None:
    """Names are found again for as long as their signal lives."""
    assert declared.get("order.paid") is None
    first = EventSignal("order.paid")
    assert declared.get("order.paid") is first
    second = EventSignal("order.paid", version=2)
    assert declared.get("order.paid") is second
    assert [signal for signal in declared.all() if signal.name == "order.paid"] == [first, second]


def test_a_declaration_inside_a_function_is_not_forgotten() -> None:
    """Whether stored events can be read does not hang on the garbage collector."""
    EventSignal("order.paid")
    gc.collect()
    assert declared.get("order.paid") is not None


def test_the_key_is_the_named_field_as_text() -> None:
    """`key=` names the payload field that orders and coalesces."""
    signal = EventSignal("order.paid", key="order")
    with capture_events() as events:
        for value in (5, "five", None, Group(pk=7, name="g")):
            signal.send(sender=Shop, order=value)
        signal.send(sender=Shop, other=1)
    assert [event.key for event in events] == ["5", "five", None, "auth.group:7", None]


@pytest.mark.parametrize("value", ["", "x" * 256])
def test_a_key_that_does_not_fit_is_refused(value: str) -> None:
    """A key is a text of 1 to 255 characters; the error names signal and field."""
    with pytest.raises(EventPayloadError, match=r"order\.paid.*'order'"):
        EventSignal("order.paid", key="order").send(sender=Shop, order=value)


@pytest.mark.parametrize(
    ("sender", "label"),
    [
        (Group, "auth.group"),
        (Group(name="g"), "auth.group"),
        (Shop, f"{__name__}.Shop"),
        (Shop(), f"{__name__}.Shop"),
        ("shop.till", "shop.till"),
        (None, ""),
        (len, "builtins.len"),
    ],
    ids=["model", "instance", "class", "object", "text", "none", "function"],
)
def test_how_a_sender_is_recorded(sender: Any, label: str) -> None:
    """A model is "app.model", anything else its dotted path."""
    with capture_events() as events:
        EventSignal("order.paid").send(sender=sender)
    assert events[0].sender == label
