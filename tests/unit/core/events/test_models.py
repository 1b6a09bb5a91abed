"""The engine's tables: what a person sees of them, and what they promise."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from core.events import EventSignal, deliver_pending
from core.events.models import Delivery, EventRecord, RouteState, Settlement
from core.events.state import State
from tests.unit.core.events.support import only_delivery, record_route

pytestmark = pytest.mark.django_db


def test_a_delivery_reads_as_its_public_id() -> None:
    """What logs, the admin and handlers call it is one and the same."""
    recorder = record_route("order.*", max_attempts=1)
    recorder.behave = lambda events: 1 / 0
    EventSignal("order.paid").send(sender=None)
    deliver_pending()
    assert str(only_delivery()) == recorder.events[0].delivery_id


def test_finished_work_leaves_the_hot_table() -> None:
    """Deliveries that are settled are gone; one history row tells of many of them."""
    record_route("order.*", batch_size=100)
    signal = EventSignal("order.paid")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(100)])
    deliver_pending()
    assert Delivery.objects.count() == 0
    assert EventRecord.objects.count() == 100
    row = Settlement.objects.get()
    assert str(row) == "route: 100 done"
    ids = {str(pk) for pk in EventRecord.objects.values_list("pk", flat=True)}
    assert set(row.events.split()) == ids


def test_no_payload_shows_in_how_rows_read() -> None:
    """The admin's lists and tracebacks show names and ids."""
    EventSignal("order.paid").send(sender=None, secret="do not show")
    record = EventRecord.objects.get()
    assert str(record) == f"order.paid {record.pk}"
    assert "do not show" not in repr(record)
    assert str(RouteState(name="shop.receipt")) == "shop.receipt"


def test_states_have_names() -> None:
    """The four places where a delivery can be."""
    assert [state.label for state in State] == ["ready", "waiting", "leased", "dead"]


def test_the_app_is_called_by_its_label() -> None:
    """Tables and migrations go by `signalbox_events`."""
    assert apps.get_app_config("signalbox_events").name == "core.events"
    for model in apps.get_app_config("signalbox_events").get_models():
        assert model._meta.db_table.startswith("signalbox_events_")


def test_ids_of_deliveries_are_never_used_again() -> None:
    """The order is a sequence, so the newest id is always the highest, also after deletions."""
    record_route("order.*")
    signal = EventSignal("order.paid")
    signal.send(sender=None)
    first = only_delivery().pk
    deliver_pending()
    signal.send(sender=None)
    assert only_delivery().pk > first


@pytest.mark.postgres
def test_the_claim_reads_its_indexes_and_not_the_table() -> None:
    """With thousands of rows in other states, finding the due ones scans none of them."""
    record_route("order.*", batch_size=500)
    signal = EventSignal("order.paid")
    signal.send_many(sender=None, payloads=[{"n": n} for n in range(5000)])
    Delivery.objects.update(state=State.DEAD)
    signal.send(sender=None)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE signalbox_events_delivery")
        cursor.execute(
            "EXPLAIN SELECT id FROM signalbox_events_delivery WHERE route = 'route' "
            "AND state = 0 ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "events_ready" in plan
    assert "Seq Scan" not in plan
