"""Adoption: the signals of apps that know nothing of events."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import user_logged_in
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.db.models.signals import post_save
from django.dispatch import Signal
from django.test import Client

from core.events import (
    EventPayloadError,
    EventSignal,
    InvalidRoute,
    InvalidSignal,
    capture_events,
    deliver_pending,
    muted,
    registry,
)
from core.events.declarations import declared
from core.events.event import ModelRef
from core.events.models import EventRecord, RouteState
from tests.unit.core.events.support import deliveries, record_route, roll_back


@pytest.mark.django_db
def test_a_login_becomes_an_event() -> None:
    """`user_logged_in` of django.contrib.auth is durable in one line."""
    signal = registry.adopt(
        user_logged_in, "test.logged_in", payload=lambda sender, user, **kw: {"user_id": user.pk}
    )
    recorder = record_route(signal)
    with muted():
        user = User.objects.create(username="alice")
    Client().force_login(user)
    deliver_pending()
    (event,) = recorder.events
    assert event.name == "test.logged_in"
    assert event.data == {"user_id": user.pk}
    assert event.sender == "auth.user"


@pytest.mark.django_db
def test_post_save_becomes_an_event() -> None:
    """Django's own model signals can be adopted; a closure narrows them by sender."""
    signal = registry.adopt(
        post_save,
        "group.saved",
        payload=lambda sender, instance, created, **kw: {"group": instance, "created": created},
    )
    recorder = record_route(signal, sender=Group)
    group = Group.objects.create(name="g")
    group.save()
    deliver_pending()
    assert [event.data["created"] for event in recorder.events] == [True, False]
    assert recorder.events[0].data["group"].get() == group


def test_adopt_returns_an_event_signal_with_its_options() -> None:
    """What is adopted is declared like any other, with version, key and sensitive fields."""
    foreign = Signal()
    signal = registry.adopt(foreign, "foreign.sent", key="n", sensitive={"phone"}, version=3)
    assert isinstance(signal, EventSignal)
    with capture_events() as events:
        foreign.send(sender=object, n=5, phone="+49")
    assert (events[0].key, events[0].version) == ("5", 3)
    assert events[0].public_data == {"n": 5, "phone": "***"}


def test_without_payload_the_arguments_are_the_payload() -> None:
    """A signal with simple arguments needs no function."""
    foreign = Signal()
    registry.adopt(foreign, "foreign.sent")
    with capture_events() as events:
        foreign.send(sender=None, a=1, b="two")
        foreign.send_robust(sender=None)
    assert [event.data for event in events] == [{"a": 1, "b": "two"}, {}]


def test_the_odd_arguments_of_a_third_party() -> None:
    """Any sender, any arguments, positional sending: `payload` gets them all by name."""
    foreign = Signal(use_caching=True)
    got: list[dict[str, Any]] = []

    def payload(sender: Any, **arguments: Any) -> dict[str, Any]:
        got.append({"sender": sender} | arguments)
        return {"who": str(sender), "names": sorted(arguments)}

    registry.adopt(foreign, "foreign.sent", payload=payload)

    class Page:
        """A sender as content systems have it."""

    request, instance = object(), object()
    with capture_events() as events:
        foreign.send(Page, request=request, instance=instance, event="x", name=None, data=1)
    assert events[0].data["names"] == ["data", "event", "instance", "name", "request"]
    assert events[0].sender == f"{Page.__module__}.{Page.__qualname__}"
    assert got[0]["request"] is request


@pytest.mark.parametrize("result", [{"sender": 1}, {"signal": 1}, {"self": 1}, None, [1]], ids=repr)
def test_a_payload_that_cannot_be_one_is_a_payload_error(result: Any) -> None:
    """What `payload` returned is named, and nothing is recorded."""
    foreign = Signal()
    registry.adopt(foreign, "foreign.sent", payload=lambda **kw: result)
    with capture_events() as events, pytest.raises(EventPayloadError, match=r"foreign\.sent"):
        foreign.send(sender=None)
    assert events == []


def test_an_error_in_payload_is_a_receivers_error() -> None:
    """`send` raises it; `send_robust` returns it, and the other receivers run."""
    foreign = Signal()
    heard: list[str] = []

    def hear(**_: Any) -> None:
        heard.append("heard")

    foreign.connect(hear)
    registry.adopt(foreign, "foreign.sent", payload=lambda **kw: {}["missing"])
    with pytest.raises(KeyError, match="missing"):
        foreign.send(sender=None)
    answers = foreign.send_robust(sender=None)
    assert isinstance(answers[-1][1], KeyError)
    assert len(heard) == 2


def test_several_names_for_one_signal() -> None:
    """One foreign signal may become several events."""
    foreign = Signal()
    registry.adopt(foreign, "foreign.short", payload=lambda n, **kw: {"n": n})
    registry.adopt(foreign, "foreign.long", payload=lambda n, **kw: {"n": n, "more": True})
    with capture_events() as events:
        foreign.send(sender=None, n=1)
    assert [event.name for event in events] == ["foreign.short", "foreign.long"]


def test_adopting_again_changes_nothing() -> None:
    """`adopt` is idempotent per name: one event, the same EventSignal."""
    foreign = Signal()
    first = registry.adopt(foreign, "foreign.sent")
    assert registry.adopt(foreign, "foreign.sent") is first
    with capture_events() as events:
        foreign.send(sender=None)
    assert len(events) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ""),
        ({"sensitive": ["phone"], "after_commit": False}, ""),
        ({"sensitive": ()}, "another sensitive already"),
        ({"key": "n", "version": 2}, "another version and key already"),
        ({"payload": lambda **arguments: arguments}, "another payload already"),
        ({"schema": ModelRef}, "another schema already"),
        ({"sensitive": "phone"}, "set of field names"),
    ],
    ids=repr,
)
def test_adopting_again_otherwise_is_refused(changes: dict[str, Any], named: str) -> None:
    """What differs is named, and the first declaration stays; equal ones may be repeated."""
    foreign = Signal()
    first = registry.adopt(foreign, "foreign.sent", sensitive={"phone"})
    options = {"sensitive": {"phone"}, **changes}
    if named:
        with pytest.raises(InvalidSignal, match=named):
            registry.adopt(foreign, "foreign.sent", **options)
    else:
        assert registry.adopt(foreign, "foreign.sent", **options) is first
    assert declared.get("foreign.sent") is first


ADOPTING = """
from dataclasses import dataclass
from django.contrib.auth import user_logged_in
from core.events import registry

@dataclass
class Login:
    user_id: int

logged_in = registry.adopt(
    user_logged_in,
    "module.logged_in",
    payload=lambda sender, user, **kw: {"user_id": user.pk},
    upcast=lambda data, version: data,
    schema=Login,
)
"""


def test_a_module_that_adopts_may_be_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its functions and classes are other objects then, and the same declaration."""
    (tmp_path / "made_up_signals.py").write_text(ADOPTING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "made_up_signals", raising=False)
    module = importlib.import_module("made_up_signals")
    first = module.logged_in
    assert importlib.reload(module).logged_in is first


def test_one_name_for_two_signals_is_refused() -> None:
    """The error names the name."""
    registry.adopt(Signal(), "foreign.sent")
    with pytest.raises(InvalidRoute, match=r"foreign\.sent"):
        registry.adopt(Signal(), "foreign.sent")


def test_bad_names_and_options_connect_nothing() -> None:
    """A refused adoption leaves the foreign signal as it was."""
    foreign = Signal()
    with pytest.raises(InvalidSignal):
        registry.adopt(foreign, "two words")
    with pytest.raises(TypeError, match="sensitiv"):
        registry.adopt(foreign, "foreign.sent", sensitiv={"a"})
    assert not foreign.has_listeners()


def test_receivers_of_the_adopting_signal_run() -> None:
    """The EventSignal that `adopt` returns can be connected to as well."""
    foreign = Signal()
    signal = registry.adopt(foreign, "foreign.sent")
    got: list[int] = []

    def hear(n: int, **_: Any) -> None:
        got.append(n)

    signal.connect(hear)
    with capture_events():
        foreign.send(sender=None, n=1)
    assert got == [1]


def test_a_foreign_signal_sent_asynchronously() -> None:
    """`asend` of the foreign signal is adopted as well."""
    foreign = Signal()
    registry.adopt(foreign, "foreign.sent")

    async def fire() -> Any:
        with capture_events() as events:
            await foreign.asend(sender=None, n=1)
            return events

    assert [event.data for event in asyncio.run(fire())] == [{"n": 1}]


@pytest.mark.django_db
def test_the_guarantee_begins_when_the_foreign_signal_is_sent() -> None:
    """The event belongs to the transaction in which the foreign signal was sent."""
    foreign = Signal()
    registry.adopt(foreign, "foreign.sent")
    record_route("foreign.*")
    roll_back(lambda: foreign.send(sender=None))
    assert not EventRecord.objects.exists()
    assert deliveries() == []


def test_rows_of_the_engine_fire_nothing(db: None) -> None:
    """A model that says so fires nothing, or adopting `post_save` would never come to rest."""
    registry.adopt(
        post_save, "row.saved", payload=lambda sender, instance, **kw: {"pk": instance.pk}
    )
    with capture_events() as events:
        RouteState.objects.create(name="some.route")
    assert events == []


def test_models_within_a_migration_fire_nothing(db: None) -> None:
    """The first `migrate` saves rows before there is a table for events."""
    registry.adopt(
        post_save, "model.saved", payload=lambda sender, instance, **kw: {"pk": instance.pk}
    )
    old = ProjectState.from_apps(apps).apps.get_model("auth", "Group")
    with capture_events() as fired:
        MigrationRecorder(connection).record_applied("shop", "0001_initial")
        old.objects.create(name="within")
        Group.objects.create(name="after")
    assert [event.sender for event in fired if event.name == "model.saved"] == ["auth.group"]


@pytest.mark.parametrize("signal", [None, "user_logged_in", Signal], ids=["none", "text", "class"])
def test_only_a_signal_can_be_adopted(signal: Any) -> None:
    """The error shows what was given instead."""
    with pytest.raises(InvalidRoute, match="adopt"):
        registry.adopt(signal, "foreign.sent")
