"""The engine on a database of its own, beside the one of the domain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper

from core.events import Event, EventSignal, TransactionMismatch, deliver_pending
from core.events.delivery import work
from core.events.models import Delivery, EventRecord, Settlement
from core.events.sweep import sweep
from tests.unit.core.events.support import committing, record_route

pytestmark = committing
ALIAS = "events"


@pytest.fixture(autouse=True)
def elsewhere(settings: Any, tmp_path: Path) -> Iterator[None]:
    """Let the events live on an SQLite database of their own."""
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "events.sqlite3"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
    configured = connections.configure_settings({"default": database})["default"]
    own = DatabaseWrapper(configured, ALIAS)
    own.ensure_connection()
    connections.settings[ALIAS], connections[ALIAS] = configured, own
    call_command("migrate", "signalbox_events", database=ALIAS, verbosity=0)
    settings.EVENTS_DATABASE = ALIAS
    yield
    own.close()
    del connections[ALIAS]
    del connections.settings[ALIAS]


def test_events_are_recorded_and_delivered_there() -> None:
    """The domain's database has none of it."""
    recorder = record_route("order.*", batch_size=5)
    record_route("order.*", name="ordered", ordered=True)
    EventSignal("order.paid", key="n").send(sender=None, n=1)
    assert EventRecord.objects.using(ALIAS).count() == 1
    assert not EventRecord.objects.using("default").exists()
    assert sweep().woken == ["default"]
    work(None, seconds=0.1)
    assert recorder.values() == [1]
    assert Settlement.objects.using(ALIAS).count() == 2
    assert not Delivery.objects.using(ALIAS).exists()


def test_atomic_covers_the_engines_database_only() -> None:
    """What a handler writes elsewhere is not undone with it."""
    seen: list[bool] = []

    def behave(events: list[Event]) -> None:
        seen.append(connections[ALIAS].in_atomic_block)
        seen.append(connections["default"].in_atomic_block)
        Group.objects.create(name=f"attempt {events[0].attempt}")
        raise ValueError

    record_route("order.*", atomic=True).behave = behave
    EventSignal("order.paid").send(sender=None)
    assert deliver_pending() == {"route": {"failed": 1}}
    assert seen == [True, False]
    assert Group.objects.count() == 1
    Group.objects.all().delete()


def test_a_transaction_of_the_domain_alone_is_refused() -> None:
    """The event could not roll back with it; the error names both and the ways out."""
    signal = EventSignal("order.paid")
    with (
        transaction.atomic(),
        pytest.raises(TransactionMismatch, match=r"order\.paid.*'default'.*'events'.*after_commit"),
    ):
        signal.send(sender=None)
    assert not EventRecord.objects.using(ALIAS).exists()


def test_after_commit_joins_the_two() -> None:
    """The event is recorded once the domain has committed."""
    record_route("order.*")
    with transaction.atomic():
        EventSignal("order.paid", after_commit=True).send(sender=None)
        assert not EventRecord.objects.using(ALIAS).exists()
    assert EventRecord.objects.using(ALIAS).count() == 1


def test_the_commands_look_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Status, retry and prune act on the engine's database."""
    record_route("order.*", max_attempts=1).behave = lambda events: 1 / 0
    EventSignal("order.paid").send(sender=None)
    deliver_pending()
    call_command("events", "status", "--json")
    assert '"dead": 1' in capsys.readouterr().out
    call_command("events", "retry", "--json")
    record = Delivery.objects.using(ALIAS).get()
    assert record.state == 0
    call_command("events", "prune", "--json")
