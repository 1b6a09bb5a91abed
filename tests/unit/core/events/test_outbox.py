"""Recording: the event and its deliveries, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.events import (
    EventSignal,
    TransactionMismatch,
    capture_events,
    deliver_pending,
    muted,
)
from core.events.models import EventRecord
from tests.unit.core.events.support import deliveries, in_threads, record_route, roll_back

pytestmark = pytest.mark.django_db
on_real_transactions = pytest.mark.django_db(transaction=True, available_apps=["core.events"])


@pytest.fixture
def signal() -> EventSignal:
    """A signal to fire."""
    return EventSignal("order.paid")


@pytest.fixture
def other_database() -> Iterator[str]:
    """A second database, in memory; Django's tests allow none that is not declared beforehand."""
    name = "other"
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    configured = connections.configure_settings({"default": settings})["default"]
    other = DatabaseWrapper(configured, name)
    other.ensure_connection()
    connections.settings[name], connections[name] = configured, other
    yield name
    BaseDatabaseWrapper.close(other)
    del connections[name]
    del connections.settings[name]


def statements(queries: CaptureQueriesContext) -> list[str]:
    """Return the statements that touch data."""
    found = [query["sql"] for query in queries.captured_queries]
    bookkeeping = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return [sql for sql in found if sql.split()[0] not in bookkeeping]


@pytest.mark.parametrize("routes", [0, 1, 4, 10])
def test_recording_costs_the_same_however_many_routes_listen(
    signal: EventSignal, routes: int
) -> None:
    """PostgreSQL takes one statement, SQLite one for the event and one for its deliveries."""
    for number in range(routes):
        record_route("order.*", name=f"route-{number}")
    with CaptureQueriesContext(connection) as queries:
        signal.send(sender=None, n=1)
    most = 1 if connection.vendor == "postgresql" else 1 + bool(routes)
    assert len(statements(queries)) == most
    assert len(deliveries()) == routes


@pytest.mark.postgres
@pytest.mark.parametrize("number", [1, 2, 100])
def test_send_many_is_one_statement(signal: EventSignal, number: int) -> None:
    """All events of a `send_many`, with all their deliveries, are one SQL statement."""
    record_route("order.*", name="one")
    record_route("order.*", name="two")
    with CaptureQueriesContext(connection) as queries:
        signal.send_many(sender=None, payloads=[{"n": n} for n in range(number)])
    assert len(statements(queries)) == 1
    assert len(deliveries()) == 2 * number


def test_send_many_keeps_the_order_given(signal: EventSignal) -> None:
    """The sequence of deliveries is that of the payloads."""
    recorder = record_route("order.*", batch_size=500)
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(300)])
    deliver_pending()
    assert recorder.values() == list(range(300))


def test_an_event_without_a_route_is_recorded_too(signal: EventSignal) -> None:
    """History is complete, whoever listens today."""
    signal.send(sender=None, n=1)
    assert EventRecord.objects.get().name == "order.paid"
    assert deliveries() == []


def test_what_is_recorded(signal: EventSignal) -> None:
    """The row has what an event has."""
    before = timezone.now()
    signal.send(sender="shop.till", n=1)
    row = EventRecord.objects.get()
    assert (row.name, row.version, row.sender, row.key) == ("order.paid", 1, "shop.till", None)
    assert abs((row.occurred_at - before).total_seconds()) < 5
    assert row.correlation_id == str(row.id)


@on_real_transactions
def test_a_rollback_leaves_no_event(signal: EventSignal) -> None:
    """The event belongs to the caller's transaction."""
    record_route("order.*")
    roll_back(lambda: signal.send(sender=None))
    assert not EventRecord.objects.exists()
    assert deliveries() == []


@on_real_transactions
def test_a_savepoint_that_rolls_back_takes_its_events_along(signal: EventSignal) -> None:
    """Only what was fired outside the savepoint is there after the commit."""
    record_route("order.*")
    with transaction.atomic():
        signal.send(sender=None, n=1)
        roll_back(lambda: signal.send(sender=None, n=2))
        signal.send(sender=None, n=3)
    assert EventRecord.objects.count() == 2
    assert len(deliveries()) == 2


@on_real_transactions
def test_outside_a_transaction_the_record_commits_by_itself(signal: EventSignal) -> None:
    """Firing in autocommit mode leaves no transaction open and is there at once."""
    record_route("order.*")
    signal.send(sender=None)
    assert not connection.in_atomic_block
    connection.close()
    assert len(deliveries()) == 1


@on_real_transactions
def test_a_receiver_that_raises_does_not_undo_the_record(signal: EventSignal) -> None:
    """In autocommit mode the record is committed before the receivers are called."""

    def fail(**_: Any) -> None:
        raise RuntimeError

    signal.connect(fail)
    with pytest.raises(RuntimeError):
        signal.send(sender=None)
    assert EventRecord.objects.count() == 1


def test_the_event_is_recorded_before_receivers_run(signal: EventSignal) -> None:
    """Firing is: encode, record, then call the receivers."""
    counts: list[int] = []

    def count(**_: Any) -> None:
        counts.append(EventRecord.objects.count())

    signal.connect(count)
    signal.send(sender=None)
    assert counts == [1]


def test_muted_records_nothing_and_leaves_receivers_running(signal: EventSignal) -> None:
    """A bulk import can switch recording off, and only recording."""
    record_route("order.*")
    heard: list[int] = []

    def hear(n: int, **_: Any) -> None:
        heard.append(n)

    signal.connect(hear)
    with muted():
        signal.send(sender=None, n=1)
        signal.send_many(sender=None, payloads=[{"n": 2}])
    signal.send(sender=None, n=3)
    assert heard == [1, 2, 3]
    assert EventRecord.objects.count() == 1


def test_muted_ends_with_an_error_too(signal: EventSignal) -> None:
    """An import that fails does not silence the process."""
    with pytest.raises(RuntimeError), muted():
        raise RuntimeError
    signal.send(sender=None)
    assert EventRecord.objects.count() == 1


def test_capture_events_collects_instead_of_recording(signal: EventSignal) -> None:
    """A test sees what was fired in its block, as handlers would; receivers run."""
    record_route("order.*")
    heard: list[int] = []

    def hear(n: int, **_: Any) -> None:
        heard.append(n)

    signal.connect(hear)
    with capture_events() as events:
        signal.send(sender="shop", n=1)
        signal.send_many(sender=None, payloads=[{"n": 2}, {"n": 3}])
    assert [(event.name, event.data["n"]) for event in events] == [
        ("order.paid", 1),
        ("order.paid", 2),
        ("order.paid", 3),
    ]
    assert heard == [1, 2, 3]
    assert not EventRecord.objects.exists()


def test_blocks_nest(signal: EventSignal) -> None:
    """The innermost capture gets the event; muted wins over capturing."""
    with capture_events() as outer:
        with capture_events() as inner:
            signal.send(sender=None, n=1)
        with muted():
            signal.send(sender=None, n=2)
        signal.send(sender=None, n=3)
    assert [event.data["n"] for event in inner] == [1]
    assert [event.data["n"] for event in outer] == [3]


@on_real_transactions
def test_a_transaction_of_another_database_only_is_refused(
    signal: EventSignal, other_database: str
) -> None:
    """The event could not be undone with it, so firing says how to go on and records nothing."""
    with (
        transaction.atomic(using=other_database),
        pytest.raises(TransactionMismatch, match=r"order\.paid.*'other'.*'default'.*after_commit"),
    ):
        signal.send(sender=None)
    assert not EventRecord.objects.exists()


@on_real_transactions
def test_transactions_on_both_databases_are_fine(signal: EventSignal, other_database: str) -> None:
    """The event joins the transaction of its own database."""
    with transaction.atomic(using=other_database), transaction.atomic():
        signal.send(sender=None)
    assert EventRecord.objects.count() == 1


@on_real_transactions
def test_after_commit_waits_for_the_other_database(other_database: str) -> None:
    """With `after_commit=True` the event is recorded after that commit, or not at all."""
    signal = EventSignal("order.paid", after_commit=True)
    record_route("order.*")
    with transaction.atomic(using=other_database):
        signal.send(sender=None, n=1)
        assert not EventRecord.objects.exists()
    assert EventRecord.objects.count() == 1
    assert len(deliveries()) == 1
    roll_back(lambda: signal.send(sender=None, n=2), using=other_database)
    assert EventRecord.objects.count() == 1


@on_real_transactions
def test_after_commit_still_refuses_a_bad_payload_at_once(other_database: str) -> None:
    """What is recorded later is encoded now."""
    signal = EventSignal("order.paid", after_commit=True)
    data = {"list": [1]}
    with transaction.atomic(using=other_database):
        with pytest.raises(ValueError, match=r"order\.paid"):
            signal.send(sender=None, value=object())
        signal.send(sender=None, data=data)
        data["list"].append(2)
    recorder = record_route("order.*")
    assert "[1]" in EventRecord.objects.get().data
    assert recorder.calls == []


def test_the_engines_own_models_fire_no_events() -> None:
    """Recording an event is not an event."""
    record_route("*")
    EventSignal("order.paid").send(sender=None)
    deliver_pending()
    assert EventRecord.objects.count() == 1


@pytest.mark.parametrize("sender", ["x" * 201, "a\x00b"])
def test_a_sender_that_cannot_be_stored_is_refused(signal: EventSignal, sender: str) -> None:
    """The error names the signal's sender, and nothing is written."""
    with pytest.raises(ValueError, match="sender"):
        signal.send(sender=sender)
    assert not EventRecord.objects.exists()


@on_real_transactions
def test_firing_after_a_commit_is_recorded_by_itself(signal: EventSignal) -> None:
    """A hook of a commit is no longer inside its transaction."""
    with transaction.atomic():
        transaction.on_commit(lambda: signal.send(sender=None, n=1))
    assert EventRecord.objects.count() == 1


@on_real_transactions
def test_one_threads_block_is_not_another_threads(signal: EventSignal) -> None:
    """Muting and capturing concern the code in their block only."""
    with muted(), capture_events():
        in_threads(2, lambda index: signal.send(sender=None, n=index))
    assert EventRecord.objects.count() == 2
