"""Many routes at once: a claim takes them all, and nobody waits for each other's floors."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.events import EventSignal, deliver_pending
from core.events.conf import conf
from core.events.models import Delivery, RouteState
from core.events.store import store_for
from tests.unit.core.events.support import record_route

pytestmark = pytest.mark.django_db


def test_a_claim_may_have_hundreds_of_routes() -> None:
    """SQLite bounds how many parts one statement may have; a claim is not bounded by that."""
    recorder = record_route("order.paid", name="first")
    for number in range(520):
        record_route("order.paid", name=f"route{number:03}").behave = recorder.behave
    EventSignal("order.paid").send(sender=None, n=1)
    assert deliver_pending() == {
        name: {"done": 1} for name in ["first", *(f"route{number:03}" for number in range(520))]
    }


@pytest.mark.postgres
def test_floors_are_locked_in_the_order_of_their_names() -> None:
    """Two workers that move floors of the same routes cannot wait for each other."""
    store, names = store_for(conf.database), ["b", "a", "c"]
    for name in names:
        record_route("order.paid", name=name)
    EventSignal("order.paid").send(sender=None, n=1)
    ids = list(Delivery.objects.values_list("pk", flat=True))
    store.ensure_routes(names)
    far = 10**9
    for move in (
        lambda: store.lower_floors(ids),
        lambda: store.reach_down(names, min(ids)),
        lambda: store.raise_floors(names, from_start=True),
    ):
        RouteState.objects.update(floor=far, floor_seen=far)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            move()
        (query,) = [each["sql"] for each in queries]
        assert "ORDER BY" in query.partition("UPDATE " + RouteState._meta.db_table)[0]
        assert "FOR UPDATE" in query
        assert set(RouteState.objects.values_list("floor", flat=True)) <= {*ids, min(ids)}
