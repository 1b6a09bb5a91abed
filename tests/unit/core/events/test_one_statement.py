"""A row and its event are stored together: in one statement where that can be, or else not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.models import F, Value
from django.db.models.functions import Upper
from django.db.models.signals import post_save, pre_save
from django.test import SimpleTestCase, override_settings
from django.test.testcases import DatabaseOperationForbidden
from django.test.utils import CaptureQueriesContext
from django.utils.safestring import mark_safe

from core.events import EventPayloadError, deliver_pending, muted, outbox
from core.events.models import Delivery, RouteState
from core.signals import model_created, model_updated
from core.tenancy import set_current_tenant
from tests.sample.models import (
    Book,
    Careful,
    Headline,
    Invoice,
    LoudSpecimen,
    Marker,
    Numbered,
    Page,
    QuietSpecimen,
    Room,
    Shelf,
    Specimen,
    Ticket,
)
from tests.unit.core.events.support import (
    Undone,
    only_delivery,
    raising,
    record_route,
    recorded,
    wait_until,
)

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["core.events", "tests.sample"])


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the first word of each statement."""
    kinds: list[str] = []
    with CaptureQueriesContext(connection) as queries:
        yield kinds
    kinds += [query["sql"].split()[0] for query in queries]


@contextmanager
def connected(signal: Any, receiver: Callable[..., Any], sender: Any) -> Iterator[None]:
    signal.connect(receiver, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


def said(model: type[models.Model]) -> list[tuple[str, Any]]:
    """Return the names and the changes of what was recorded of a model, in order."""
    events = recorded(sender=model._meta.label_lower)
    return [(event.name, event.data["changes"]) for event in events]


def names(model: type[models.Model]) -> list[str]:
    return [name for name, _ in said(model)]


@pytest.mark.postgres
@pytest.mark.parametrize("begun", [False, True])
def test_one_statement(begun: bool) -> None:
    """On PostgreSQL a row, its event and the deliveries are one, in a transaction or by itself."""
    recorder = record_route("model.*", name="one")
    record_route("model.*", name="two", ordered=False)
    with transaction.atomic() if begun else nullcontext():
        with statements() as made:
            shelf = Shelf.objects.create(label="a")
        shelf = Shelf.objects.get() if not begun else shelf
        shelf.label = "b"
        with statements() as changed:
            shelf.save()
    assert made[-1:] == changed[-1:] == ["WITH"]
    assert begun or (made, changed) == (["WITH"], ["WITH"])
    assert Shelf.objects.get().label == "b"
    assert Delivery.objects.count() == 4
    deliver_pending()
    assert [event.name for event in recorder.events] == ["model.created", "model.updated"]
    assert recorder.events[1].data["changes"] == {"label": ["a", "b"]}
    assert recorder.events[1].data["text"] == "b"


@pytest.mark.postgres
def test_nothing_but_the_row() -> None:
    """A save without news is the one statement that Django makes of it."""
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)
    with statements() as kinds:
        shelf.save()
        shelf.save(update_fields=["updated_at"])
        with muted():
            shelf.label = "b"
            shelf.save()
    assert [kind for kind in kinds if kind not in ("BEGIN", "COMMIT")] == ["UPDATE"] * 3
    assert kinds[:2] == ["UPDATE"] * 2
    assert names(Shelf) == ["model.created"]


def test_a_row_that_somebody_removed() -> None:
    """A plain save stores it again and announces a new row, as Django does; others are refused."""
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)
    ticket = Ticket.objects.get(pk=Ticket.objects.create(seat="1").pk)
    for row, field in ((shelf, "label"), (ticket, "seat")):
        type(row)._base_manager.filter(pk=row.pk)._raw_delete("default")  # type: ignore[attr-defined]
        setattr(row, field, "b")
        for options in ({"force_update": True}, {"update_fields": [field]}):
            with pytest.raises(DatabaseError, match="did not affect any rows"):
                row.save(**options)
        assert names(type(row)) == ["model.created"]
        row.save()
        assert names(type(row)) == ["model.created"] * 2
        assert said(type(row))[1][1][field] == [None, "b"]
        setattr(row, field, "c")
        row.save()
        assert said(type(row))[2:] == [("model.updated", {field: ["b", "c"]})]


def test_a_removed_row_of_nothing_but_a_key() -> None:
    """Where there is nothing to update, the row that is inserted and its event are still one."""
    marker = Marker.objects.get(pk=Marker.objects.create().pk)
    Marker._base_manager.filter(pk=marker.pk)._raw_delete("default")  # type: ignore[attr-defined]
    with statements() as kinds:
        marker.save()
    assert Marker.objects.get() == marker
    assert names(Marker) == ["model.created"] * 2
    writes = [kind for kind in kinds if kind != "SELECT"]
    assert (writes[0], writes[-1]) == ("BEGIN", "COMMIT")


def test_a_removed_row_without_news() -> None:
    """What is saved unchanged is stored again if it is gone, and announced as new."""
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)
    Shelf._base_manager.filter(pk=shelf.pk)._raw_delete("default")  # type: ignore[attr-defined]
    shelf.save()
    assert Shelf.objects.get().label == "a"
    assert names(Shelf) == ["model.created"] * 2


def test_a_refused_row_leaves_no_event() -> None:
    """What the database refuses is not announced; the instance can be mended and saved."""
    Shelf.objects.create(label="taken")
    other = Shelf.objects.get(pk=Shelf.objects.create(label="other").pk)
    new = Shelf(label="taken")
    other.label = "taken"
    for row in (new, other):
        with pytest.raises(IntegrityError):
            row.save()
    assert new._state.adding
    assert new._state.db is None
    assert names(Shelf) == ["model.created"] * 2
    new.label, other.label = "new", "changed"
    new.save()
    other.save()
    assert names(Shelf)[2:] == ["model.created", "model.updated"]
    assert said(Shelf)[3][1] == {"label": ["other", "changed"]}


def test_a_refused_event_leaves_no_row() -> None:
    """A row whose event cannot be recorded is not stored."""
    other = Shelf.objects.get(pk=Shelf.objects.create(label="other").pk)
    new = Shelf(label="new")
    with override_settings(EVENTS_MAX_PAYLOAD_BYTES=64):
        for row in (new, other):
            row.label = "x" * 40
            with pytest.raises(EventPayloadError):
                row.save()
    assert [row.label for row in Shelf.objects.all()] == ["other"]
    new.save()
    assert names(Shelf) == ["model.created"] * 2


@pytest.mark.parametrize("signal", [pre_save, post_save, model_created, model_updated])
def test_receivers_share_the_transaction(signal: Any) -> None:
    """Where a receiver hears of it, its work and its refusal are part of the save."""
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)

    def refuse(**kwargs: Any) -> None:
        assert connection.in_atomic_block
        Room.objects.create()
        raise Undone

    with connected(signal, refuse, Shelf):
        for row in (shelf, Shelf(label="new")):
            row.label += "!"
            created = row is not shelf
            if signal in (model_created, model_updated) and created != (signal is model_created):
                continue
            with pytest.raises(Undone):
                row.save()
    assert not Room.objects.exists()
    assert [row.label for row in Shelf.objects.all()] == ["a"]
    assert names(Shelf) == ["model.created"]


def test_a_receiver_of_all_models_is_heard() -> None:
    """A receiver without a sender counts as well."""
    heard: list[bool] = []

    def listen(sender: Any, **kwargs: Any) -> None:
        heard.append(connection.in_atomic_block)

    with connected(post_save, listen, None):
        Shelf.objects.create(label="a")
    assert heard == [True]


def test_transactions_by_hand() -> None:
    """With autocommit off, the row and its event are the caller's to commit or to undo."""
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)
    transaction.set_autocommit(False)
    try:
        shelf.label = "b"
        shelf.save()
        transaction.rollback()
        assert Shelf.objects.get().label == "a"
        assert names(Shelf) == ["model.created"]
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


def test_expressions() -> None:
    """What the database computes is announced as it came out, by itself too."""
    specimen = LoudSpecimen.objects.get(pk=LoudSpecimen.objects.create(integer=1).pk)
    specimen.integer = F("integer") + 1
    specimen.save()
    headline = Headline.objects.get(pk=Headline.objects.create(text="one").pk)
    headline.text = "two"
    headline.save()
    assert said(LoudSpecimen)[1:] == [("model.updated", {"integer": [1, 2]})]
    assert LoudSpecimen.objects.get().integer == 2
    assert Headline.objects.get().text == "TWO"
    assert names(Headline) == ["model.created", "model.updated"]


def test_expressions_of_a_receiver() -> None:
    """What a receiver of `pre_save` leaves to the database is announced as it came out."""

    def refine(instance: LoudSpecimen, **kwargs: Any) -> None:
        instance.integer = F("integer") + 1 if instance.integer else 1
        instance.word = Upper(Value("word"))

    with connected(pre_save, refine, LoudSpecimen):
        specimen = LoudSpecimen.objects.get(pk=LoudSpecimen.objects.create().pk)
        specimen.text = "new"
        specimen.save()
    (_, created), (_, updated) = said(LoudSpecimen)
    assert (created["integer"], created["word"]) == ([None, 1], [None, "WORD"])
    assert updated == {"integer": [1, 2], "text": ["", "new"]}


@pytest.mark.parametrize("model", [Careful, Numbered])
def test_models_that_are_written_in_their_own_way(model: Any) -> None:
    """`select_on_save` and a model's own `_do_update` still decide what is stored."""
    row = model.objects.get(pk=model.objects.create(value=1).pk)
    row.value = 2
    with statements() as kinds:
        row.save()
    assert model.objects.get().value == (2 if model is Careful else 20)
    assert said(model)[1:] == [("model.updated", {"value": [1, 2]})]
    assert kinds[0] == "BEGIN"


def test_the_text_may_follow_relations() -> None:
    """`__str__` of a row that is being made finds related rows, as it does once it is there."""
    book = Book.objects.create(title="b")
    Page.objects.create(book_id=book.pk, number=1)
    (event,) = recorded(sender="sample.page")
    assert event.data["text"] == "1 of b"


def test_columns_that_are_left_alone() -> None:
    """Marks of deletion and a tenant that somebody changed meanwhile stay as they are."""
    with set_current_tenant("a"):
        invoice = Invoice.objects.get(pk=Invoice.objects.create(slug="1").pk)
        Invoice.objects.get().delete()
        Invoice.all_objects.update(tenant_id="b")
        invoice.slug = "2"
        invoice.save()
    row = Invoice.all_objects.get()
    assert (row.slug, row.is_deleted, row.tenant_id) == ("2", True, "b")
    assert said(Invoice)[-1] == ("model.updated", {"slug": ["1", "2"]})


ROWS: list[dict[str, Any]] = [
    {},
    {"small": -32768, "integer": 2**31 - 1, "big": -(2**63), "count": 0, "ratio": 1.5e-300},
    {"ratio": float("inf"), "amount": Decimal("99999999999999.123456"), "flag": False},
    {"integer": True, "big": 1, "ratio": 3, "amount": Decimal("0.1")},
    {"word": "50% of %s, 'quoted' \\ \"ü\" 🎫", "text": "", "slug": "a-b"},
    {"word": mark_safe("<b>"), "day": date(1, 1, 1), "hour": time(23, 59, 59, 999999)},
    {"moment": datetime(2026, 1, 1, tzinfo=UTC), "period": timedelta(days=-1, microseconds=1)},
    {"day": "2026-01-31", "moment": "2026-01-31T10:00:00Z", "amount": "1.5", "flag": "True"},
    {"token": UUID(int=1), "address": "::1", "raw": b"\x00\xff"},
    {"token": "00000000-0000-0000-0000-000000000002", "raw": memoryview(b"ab")},
    {"document": {"a": [1, None, "%s"], "ü": {"b": 1.5}}, "address": "10.0.0.1"},
    {"document": []},
    {"document": "text"},
    {"document": 5},
    {"document": False},
    {"size": Specimen.Size.LARGE, "colour": Specimen.Colour.BLUE, "cover": "a/b.png"},
]


@pytest.mark.parametrize("row", ROWS, ids=[",".join(row) or "empty" for row in ROWS])
def test_values_are_stored_as_django_stores_them(row: dict[str, Any]) -> None:
    """Whatever kind a field is of, a row reads the same with and without life cycle signals."""
    fields = [f.attname for f in Specimen._meta.get_fields() if not f.name.endswith("_at")]
    room = Room.objects.create()
    stored = []
    for model in (LoudSpecimen, QuietSpecimen):
        made = model.objects.create(**row, room=room)
        changed = model.objects.get(pk=model.objects.create().pk)
        for name, value in row.items():
            setattr(changed, name, value)
        changed.room = room
        changed.save()
        for each in (made, changed):
            stored.append(model.objects.values(*fields).get(pk=each.pk))
            assert model.objects.get(pk=each.pk).changed_at >= each.made_at
    assert stored[0] == stored[1] == stored[2] == stored[3]
    assert names(LoudSpecimen) == ["model.created", "model.created", "model.updated"]


@pytest.mark.postgres
@pytest.mark.parametrize("prepared", [True, False])
def test_numbers_that_the_column_cannot_hold(prepared: bool, settings: Any) -> None:
    """They are refused as Django's own save refuses them, and not cut off."""
    settings.EVENTS_PREPARED_STATEMENTS = prepared
    for model in (QuietSpecimen, LoudSpecimen):
        changed = model.objects.create()
        for row in ({"small": 40_000}, {"integer": 2**31}, {"big": 2**63}, {"count": 2**200}):
            for each in (model.objects.get(pk=changed.pk), model()):
                for name, value in row.items():
                    setattr(each, name, value)
                with pytest.raises(DataError, match="out of range"):
                    each.save()
    assert names(LoudSpecimen) == ["model.created"]


def test_values_that_the_field_cannot_hold() -> None:
    """The error is the one that Django's own save raises."""
    for model in (QuietSpecimen, LoudSpecimen):
        changed = model.objects.get(pk=model.objects.create().pk)
        changed.integer = "many"  # type: ignore[assignment]
        for each in (changed, model(integer="many")):
            with pytest.raises(ValueError, match="Field 'integer' expected a number"):
                each.save()


def test_keys_that_no_row_can_have() -> None:
    """No row is found by a key that its column cannot hold."""
    with pytest.raises(DatabaseError, match="did not affect any rows"):
        Ticket(pk=2**70, seat="1").save(force_update=True)


@contextmanager
def waiting(save: Callable[[], Any], lock: Any) -> Iterator[None]:
    """Lock these rows, and let somebody save who has to wait for them until the block ends."""

    def work() -> None:
        save()
        connections.close_all()

    def waits() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
            return cursor.fetchone()

    saving = threading.Thread(target=work)
    with transaction.atomic():
        lock.select_for_update().get()
        saving.start()
        wait_until(waits)
        yield
    saving.join()


@pytest.mark.postgres
def test_it_occurs_when_the_row_is_written() -> None:
    """A save that waited for another transaction is dated when it was its turn."""
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)
    shelf.label = "b"
    with waiting(shelf.save, Shelf.objects), connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (released,) = cursor.fetchone()
    (event,) = recorded(name="model.updated")
    assert event.occurred_at > released


@pytest.mark.postgres
def test_a_commit_that_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims go back to a delivery whose statement committed long after it got its id."""
    book = Book.objects.create(title="b")
    record_route("model.created", name="late")
    RouteState.objects.update_or_create(name="late", defaults={"floor": 2**40})
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(outbox, "time", SimpleNamespace(monotonic=lambda: clock.now))
    # The foreign key is checked when the statement commits, and waits for the book.
    with waiting(Page(book_id=book.pk, number=1).save, Book.objects):
        clock.now = 10.0
    assert RouteState.objects.get(name="late").floor == only_delivery().pk


@pytest.mark.postgres
def test_a_connection_that_broke_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Django checks a connection before it is used again, a save does not fail for it."""
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", True)
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    connection.close()
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)
    other = connection.copy()
    with other.cursor() as cursor:
        pid = connection.connection.info.backend_pid
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    other.close()
    # As at the beginning of a request.
    connection.close_if_unusable_or_obsolete()
    shelf.label = "b"
    shelf.save()
    assert names(Shelf) == ["model.created", "model.updated"]
    monkeypatch.undo()
    connection.close()


def test_where_the_database_is_forbidden() -> None:
    """A test without a database cannot write to it through a connection that is open already."""

    class WithoutDatabase(SimpleTestCase):
        pass

    Shelf.objects.create(label="a")
    WithoutDatabase.setUpClass()
    try:
        with pytest.raises(DatabaseOperationForbidden):
            Shelf(label="b").save()
    finally:
        WithoutDatabase.doClassCleanups()
    assert names(Shelf) == ["model.created"]


@pytest.mark.postgres
def test_conditions_and_lanes() -> None:
    """A route's condition is asked and its lane is kept, as for every event."""
    wanted = record_route("model.updated", name="b", when=lambda e: e.data["text"] == "b")
    failing = record_route("model.updated", name="failing")
    failing.behave = raising(ValueError("no"))
    shelf = Shelf.objects.get(pk=Shelf.objects.create(label="a").pk)
    for label in ("b", "c"):
        shelf.label = label
        shelf.save()
    assert list(Delivery.objects.order_by("pk").values_list("route", flat=True)) == [
        "b",
        "failing",
        "failing",
    ]
    deliver_pending()
    assert [event.data["text"] for event in wanted.events] == ["b"]
