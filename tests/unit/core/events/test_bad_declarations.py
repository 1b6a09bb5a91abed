"""What cannot be meant so is refused where it is written, with the value and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.dispatch import Signal

from core.events import (
    EventPayloadError,
    EventSignal,
    InvalidSignal,
    PartialFailure,
    UnknownSignalOption,
    registry,
)
from core.events.models import EventRecord

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass
class Paid:
    """A schema whose type is there for type checkers only."""

    amount: Decimal


def test_an_unknown_option_of_a_signal_names_the_nearest() -> None:
    """The error names the signal, the option, the one that was meant, and all there are."""
    wrong: Any = {"sensitve": {"phone"}}
    with pytest.raises(UnknownSignalOption, match=r"order.*'sensitve'.*'sensitive'.*version"):
        EventSignal("order.paid", **wrong)


def test_an_unknown_option_of_adopt_names_the_nearest() -> None:
    """Those of adopt itself count as well; nothing is connected."""
    foreign, wrong = Signal(), {"paylod": dict}
    with pytest.raises(UnknownSignalOption, match=r"adopt\('order.paid'\).*'paylod'.*'payload'"):
        registry.adopt(foreign, "order.paid", **wrong)
    assert not foreign.has_listeners()


def test_the_payload_of_adopt_is_a_function() -> None:
    """Nothing is connected, so that no sending fails later."""
    foreign, wrong = Signal(), {"payload": 5}
    with pytest.raises(InvalidSignal, match=r"adopt\('order.paid', payload=5\).*function"):
        registry.adopt(foreign, "order.paid", **wrong)
    assert not foreign.has_listeners()


@pytest.mark.django_db
def test_an_argument_that_an_adopted_signal_cannot_keep() -> None:
    """The error tells whoever adopted it the way out, since somebody else sends it."""
    foreign = Signal()
    registry.adopt(foreign, "foreign.sent")
    with pytest.raises(EventPayloadError, match=r"'request' is .*adopt\(\.\.\., payload="):
        foreign.send(sender=None, request=object())


@pytest.mark.parametrize("value", ["phone", 5, None, {5}, [None], b"phone"])
def test_sensitive_fields_are_names(value: Any) -> None:
    """A name that no field can have would mask nothing."""
    with pytest.raises(InvalidSignal, match=r"sensitive=.*give a set of field names"):
        EventSignal("order.paid", sensitive=value)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_after_commit_is_a_flag(value: Any) -> None:
    """A text is true whatever it says."""
    with pytest.raises(InvalidSignal, match=r"after_commit=.*True or False"):
        EventSignal("order.paid", after_commit=value)


@pytest.mark.django_db
@pytest.mark.parametrize("payloads", [5, None, {"n": 1}, "text"])
def test_send_many_wants_a_list_of_payloads(payloads: Any) -> None:
    """The error names the signal and the value; nothing is written."""
    signal = EventSignal("order.paid")
    with pytest.raises(EventPayloadError, match=r"order\.paid: send_many\(payloads=.*list of"):
        signal.send_many(sender=None, payloads=payloads)
    assert not EventRecord.objects.exists()


def test_a_schema_that_cannot_be_resolved_names_signal_and_type() -> None:
    """A name that is imported for type checking only is not there when the signal is declared."""
    with pytest.raises(InvalidSignal, match=r"'order.paid', schema=Paid.*'Decimal'.*import it"):
        EventSignal("order.paid", schema=Paid)


@pytest.mark.parametrize(
    ("errors", "error", "told"),
    [
        ([1], TypeError, r"PartialFailure\(\[1\]\): give"),
        (None, TypeError, r"PartialFailure\(None\): give"),
        ({}, ValueError, r"no event failed; return"),
    ],
)
def test_a_partial_failure_names_the_events_that_failed(
    errors: Any, error: type[Exception], told: str
) -> None:
    """It is refused where it is made, not when the batch is settled."""
    with pytest.raises(error, match=told):
        PartialFailure(errors)
