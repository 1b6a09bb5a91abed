"""Replay: new deliveries of stored events."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.events import EventSignal, UndeclaredEvent, UnknownRoute, deliver_pending, registry
from core.events import replay as module
from core.events.declarations import declared
from core.events.models import Delivery, EventRecord
from core.events.replay import replay
from core.events.selection import Selection
from core.events.store import store_for

from .support import deliveries, record_route

pytestmark = pytest.mark.django_db
pytest_plugins = ["core.events.pytest_plugin"]


@pytest.fixture
def paid() -> EventSignal:
    """A signal whose events are keyed by `order`."""
    return EventSignal("order.paid", key="order")


def fire(signal: EventSignal, count: int = 3, **payload: object) -> None:
    """Record so many events, numbered from 0."""
    signal.send_many(None, [{"n": n, **payload} for n in range(count)])


def test_makes_new_deliveries_in_the_order_fired(paid: EventSignal) -> None:
    """A replay gives every stored event a delivery with a new id, in the order fired."""
    calls = record_route(paid)
    fire(paid)
    deliver_pending()
    first = {event.delivery_id for event in calls.events}
    replayed = replay(Selection())
    assert replayed.as_dict() == {
        "total": 3,
        "events": 3,
        "routes": {"route": 3},
        "left_out": {},
        "undeclared": {},
    }
    deliver_pending()
    assert calls.values() == [0, 1, 2, 0, 1, 2]
    assert first.isdisjoint(event.delivery_id for event in calls.events[3:])
    assert [event.id for event in calls.events[:3]] == [event.id for event in calls.events[3:]]


def test_queues_behind_what_is_there(paid: EventSignal) -> None:
    """Replayed deliveries go to the end of the line, and keep the lane of their key."""
    record_route(paid, ordered=True)
    fire(paid, order="A")
    waiting = [delivery.pk for delivery in deliveries()]
    replay(Selection())
    new = deliveries()[3:]
    assert min(delivery.pk for delivery in new) > max(waiting)
    assert {delivery.lane for delivery in new} == {"A"}


def test_reaches_events_that_had_no_route(paid: EventSignal) -> None:
    """A route that did not exist when an event was fired can be given it by a replay."""
    fire(paid)
    calls = record_route(paid)
    replay(Selection(routes=["route"]))
    deliver_pending()
    assert calls.values() == [0, 1, 2]


@pytest.mark.parametrize("options", [{"replay": False}, {"at_most_once": True}])
def test_leaves_out_what_must_not_be_repeated_unasked(
    paid: EventSignal, options: dict[str, bool]
) -> None:
    """Routes with replay=False, and at_most_once ones, take part only when they are named."""
    record_route(paid, name="shop.sms", **options)
    fire(paid)
    Delivery.objects.all().delete()
    for routes in ([], ["shop.*"]):
        replayed = replay(Selection(routes=routes))
        assert (replayed.total, list(replayed.left_out)) == (0, ["shop.sms"])
    assert replay(Selection(routes=["shop.sms"])).routes == {"shop.sms": 3}


def test_left_out_names_only_routes_of_these_events(paid: EventSignal) -> None:
    """A route that the events do not take is reported only if it was asked for by name."""
    record_route("user.*", name="users", replay=False)
    fire(paid)
    assert replay(Selection()).left_out == {}
    named = replay(Selection(routes=["users"]))
    assert named.left_out == {"users": "takes none of these events"}


def test_asks_sender_and_when_again(paid: EventSignal) -> None:
    """A replay respects `sender`, and evaluates `when` on the stored event."""
    record_route(paid, name="even", when=lambda event: event.data["n"] % 2 == 0)
    record_route(paid, name="elsewhere", sender="shop.order")
    fire(paid, 4)
    Delivery.objects.all().delete()
    assert replay(Selection()).routes == {"even": 2}
    assert all(delivery.event.data in ('{"n":0}', '{"n":2}') for delivery in deliveries())


def test_when_sees_the_present_version(paid: EventSignal) -> None:
    """`when` is asked about the payload after `upcast`; where that fails it counts as True."""
    fire(paid, 2)

    def upcast(data: dict[str, int], version: int) -> dict[str, int]:
        return {"number": 10 // data["n"]}

    newer = EventSignal("order.paid", version=2, upcast=upcast)
    record_route(newer, when=lambda event: event.data["number"] > 99)
    assert replay(Selection()).routes == {"route": 1}


def test_selects_by_event_and_route_globs(paid: EventSignal) -> None:
    """Globs choose routes and events; several are a union."""
    refunded, joined = EventSignal("order.refunded"), EventSignal("user.joined")
    for name in ("a.one", "a.two", "b.one"):
        record_route("*", name=name)
    for signal in (paid, refunded, joined):
        signal.send(None)
    Delivery.objects.all().delete()
    assert replay(Selection(routes=["a.*"], events=["order.*"])).routes == {"a.one": 2, "a.two": 2}
    assert replay(Selection(["b.one"], ["user.joined", "order.paid"])).routes == {"b.one": 2}


def test_selects_by_time(paid: EventSignal) -> None:
    """`since` is included and `until` is not."""
    record_route(paid)
    fire(paid, 4)
    start = timezone.now() - timedelta(days=4)
    for day, record in enumerate(EventRecord.objects.order_by("pk")):
        EventRecord.objects.filter(pk=record.pk).update(occurred_at=start + timedelta(days=day))
    Delivery.objects.all().delete()
    since, until = start + timedelta(days=1), start + timedelta(days=3)
    assert replay(Selection(since=since, until=until)).total == 2
    assert replay(Selection(since=until)).total == 1
    assert replay(Selection(until=since)).total == 1


def test_counts_what_no_handler_could_read(paid: EventSignal) -> None:
    """Events whose signal is no longer declared are named and get no delivery."""
    record_route("*")
    gone = EventSignal("order.gone")
    gone.send(None)
    fire(paid, 1)
    Delivery.objects.all().delete()
    declared._named.pop("order.gone")
    declared._current.pop("order.gone")
    replayed = replay(Selection())
    assert (replayed.undeclared, replayed.events, replayed.total) == ({"order.gone": 1}, 1, 1)
    assert replay(Selection(events=["order.gone"])).undeclared == {"order.gone": 1}


@pytest.mark.parametrize(
    ("selection", "error", "hint"),
    [
        (Selection(routes=["rout"]), UnknownRoute, "did you mean 'route'"),
        (Selection(routes=["x*"]), UnknownRoute, "'x\\*'"),
        (Selection(events=["order.payd"]), UndeclaredEvent, "did you mean 'order.paid'"),
        (Selection(events=["zzz.*"]), UndeclaredEvent, "'zzz.\\*'"),
    ],
)
def test_refuses_names_that_match_nothing(
    paid: EventSignal, selection: Selection, error: type[Exception], hint: str
) -> None:
    """A route or event name that matches nothing raises, with the nearest one that exists."""
    record_route(paid)
    with pytest.raises(error, match=hint):
        replay(selection)


def test_refuses_a_route_whose_code_is_gone(paid: EventSignal) -> None:
    """Only registered routes can be replayed to, whatever rows are left of others."""
    record_route(paid, name="gone")
    fire(paid)
    registry.unroute("gone")
    with pytest.raises(UnknownRoute, match="'gone'"):
        replay(Selection(routes=["gone"]))


def test_dry_run_changes_nothing(paid: EventSignal) -> None:
    """A dry run returns what would be done, and does not do it."""
    record_route(paid, when=lambda event: event.data["n"] > 0)
    fire(paid)
    Delivery.objects.all().delete()
    assert replay(Selection(), dry_run=True).routes == {"route": 2}
    assert not Delivery.objects.exists()


def test_no_events_at_all(paid: EventSignal) -> None:
    """A replay of nothing is nothing."""
    record_route(paid)
    assert replay(Selection()).total == 0


@pytest.mark.parametrize("when", [None, lambda event: True])
def test_works_in_bounded_batches(
    paid: EventSignal, when: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are read a batch at a time and each exactly once, also where times are equal."""
    monkeypatch.setattr(module, "_BATCH", 4)
    monkeypatch.setattr(module, "_BATCH_WITH_DATA", 4)
    record_route(paid, when=when)
    fire(paid, 10)
    EventRecord.objects.update(occurred_at=timezone.now())
    Delivery.objects.all().delete()
    seen: list[tuple[int, int | None]] = []
    with CaptureQueriesContext(connection) as queries:
        replay(Selection(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert len({delivery.event_id for delivery in deliveries()}) == len(deliveries()) == 10
    assert not any('"data"' in query["sql"] for query in queries) or when


@pytest.mark.sqlite
@pytest.mark.parametrize("moment", ["2026-03-31 12:00:00", "2026-03-31 12:00:00.250"])
def test_times_are_written_as_django_writes_them(moment: str) -> None:
    """On SQLite times compare as text, so full seconds of both kinds must read the same."""
    store = store_for("default")
    written = datetime.fromisoformat(moment)
    with connection.cursor() as cursor:
        for sql in (store.now, store.after("0")):
            cursor.execute(f"SELECT {sql}".replace("'now'", f"'{moment}'"), [])
            assert cursor.fetchone() == (connection.ops.adapt_datetimefield_value(written),)


def test_leaves_out_what_is_fired_meanwhile(paid: EventSignal) -> None:
    """Events recorded while a replay runs have their own deliveries and are not replayed."""
    record_route(paid)
    fire(paid, 2)
    Delivery.objects.all().delete()
    replayed = replay(Selection(), progress=lambda done, total: fire(paid, 1))
    assert replayed.events == 2


def test_wakes_the_queues(
    paid: EventSignal, wakeups: list[set[str]], django_capture_on_commit_callbacks: object
) -> None:
    """After the commit the queues of the routes are woken."""
    record_route(paid, queue="audit")
    fire(paid)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]  # a fixture
        replay(Selection())
    assert wakeups == [{"audit"}]
