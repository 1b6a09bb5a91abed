"""What an event says to the audit log."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from core.events import ModelRef
from core.events.event import MASK
from workers.audit.entries import entries, subjects
from workers.audit.routes import is_audited

from .conftest import MakeEvent


def test_a_changed_row_is_the_subject(make_event: MakeEvent) -> None:
    """A life cycle event about one row gives one entry with its type, key, text and changes."""
    data = {"model": "shop.order", "pk": "7", "text": "Order 7", "changes": {"total": [1, 2]}}
    (entry,) = entries(make_event("model.updated", data=data, actor_id="3"))
    assert (entry["object_type"], entry["object_id"], entry["object_text"]) == (
        "shop.order",
        "7",
        "Order 7",
    )
    assert (entry["actor"], entry["changes"], entry["data"]) == ("3", {"total": [1, 2]}, {})


def test_every_row_of_a_bulk_change_is_a_subject(make_event: MakeEvent) -> None:
    """A life cycle event about many rows gives an entry for each, none of them twice."""
    data = {"model": "shop.order", "pks": ["1", "2", "2"], "changes": {"open": [True, False]}}
    found = list(entries(make_event("model.updated", data=data)))
    assert [entry["object_id"] for entry in found] == ["1", "2"]
    assert all("pks" not in entry["data"] for entry in found)


ORDER, USER = ModelRef("shop.order", 7, "Order 7"), ModelRef("auth.user", 3, "Ada")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"order": ORDER, "user": USER}, [("shop.order", "7", "Order 7")]),
        ({"user": USER, "again": USER}, [("auth.user", "3", "Ada")]),
        ({"order_id": 9}, [("shop.order", "9", "")]),
        ({"total": 1}, [("shop.order", "", "")]),
        ({}, [("shop.order", "", "")]),
    ],
)
def test_what_else_an_event_is_about(
    make_event: MakeEvent, data: dict[str, Any], expected: list[Any]
) -> None:
    """References to the sender's model count first, then any, then the sender and its id."""
    event = make_event(data=data)
    assert subjects(event.sender, event.data) == expected


def test_without_an_actor_it_was_the_system(make_event: MakeEvent) -> None:
    """An event that nobody caused is the system's; one that names who changed it is theirs."""
    (nobody,) = entries(make_event(data={}))
    (somebody,) = entries(make_event(data={"changed_by": "5"}))
    assert (nobody["actor"], somebody["actor"]) == ("system", "5")


def test_a_changed_value_is_a_change(make_event: MakeEvent) -> None:
    """`old` and `new` are kept as a change of what the event is named after."""
    data = {"old": Decimal("10.00"), "new": Decimal("12.50"), "changed_by": "1"}
    (entry,) = entries(make_event("platform_fee.changed", data=data))
    assert entry["changes"] == {"platform_fee": [Decimal("10.00"), Decimal("12.50")]}


def test_an_audit_event_names_its_own_action(make_event: MakeEvent) -> None:
    """`audit.event` is recorded under the action that it tells, with target and request."""
    request = {"ip": "192.0.2.1", "authorization": "Bearer x"}
    data = {"action": "report.exported", "target": ORDER, "request": request, "changes": None}
    (entry,) = entries(make_event("audit.event", data=data))
    assert (entry["action"], entry["object_id"]) == ("report.exported", "7")
    assert entry["request"] == {"ip": "192.0.2.1", "authorization": MASK}


def test_sensitive_fields_and_secrets_never_enter(make_event: MakeEvent) -> None:
    """Neither a declared field nor a secret gets into any column, as a subject's id or text too."""
    data = {"order_id": "s3cret", "phone": "s3cret", "nested": [{"password": "s3cret"}]}
    event = make_event(data=data, sensitive=frozenset({"phone", "order_id"}))
    assert "s3cret" not in repr(list(entries(event)))


def test_a_reference_that_is_sensitive_is_no_subject(make_event: MakeEvent) -> None:
    """A sensitive reference does not become the object of the entry."""
    event = make_event(data={"patient": USER}, sensitive=frozenset({"patient"}))
    assert "Ada" not in repr(list(entries(event)))


@pytest.mark.parametrize(
    ("name", "audited"),
    [
        ("model.created", True),
        ("order.paid", True),
        ("platform_fee.changed", True),
        ("user.logged_in", True),
        ("business.event", True),
        ("system.error", True),
        ("integration.event", True),
        ("audit.event", True),
        ("user.activity", False),
        ("performance.metric", False),
        ("notification.requested", False),
        ("cache.invalidation_requested", False),
    ],
)
def test_what_is_audited(make_event: MakeEvent, name: str, audited: bool) -> None:
    """Everything that happens is audited, an app's own events included; the technical is not."""
    assert is_audited(make_event(name, data={})) is audited


def test_exceptions_can_be_added(make_event: MakeEvent, settings: Any) -> None:
    """`AUDIT_EXCLUDED` leaves more events out."""
    settings.AUDIT_EXCLUDED = ["sensor.*"]
    assert not is_audited(make_event("sensor.read", data={}))


def test_long_names_are_cut(make_event: MakeEvent) -> None:
    """A key or text longer than its column does not fail the whole batch."""
    data = {"model": "shop.order", "pk": "7" * 500, "text": "x" * 500, "changes": {}}
    (entry,) = entries(make_event("model.created", data=data))
    assert len(entry["object_id"]) == len(entry["object_text"]) == 200


def test_nothing_that_is_told_gets_lost(make_event: MakeEvent) -> None:
    """Fields called as those of life cycle events are kept when they mean something else."""
    data = {"model": "T-1000", "text": "hello", "changes": 3, "request": "please"}
    (entry,) = entries(make_event(data=data))
    assert entry["data"] == data


def test_a_key_keeps_its_text_form() -> None:
    """A UUID key is recorded as people write it."""
    key = uuid4()
    assert subjects("shop.order", {"order": ModelRef("shop.order", key)})[0][1] == str(key)
