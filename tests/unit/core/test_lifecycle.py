"""What a single row announces about itself."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import serializers
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.db.models import F
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from core.events import Event, EventPayloadError, capture_events
from core.events.models import EventRecord
from core.signals import model_created, model_updated
from tests.sample.models import (
    Account,
    Book,
    Counter,
    Desk,
    Novel,
    Page,
    Paperback,
    Room,
    Shelf,
    Ticket,
)
from tests.unit.core.events.support import recorded

pytestmark = pytest.mark.django_db


@pytest.fixture
def book() -> Book:
    """A stored book, loaded anew, before events are watched."""
    return Book.objects.get(pk=Book.objects.create(title="old", notes={"a": [1]}).pk)


class Recorded(Sequence[Event]):
    """The events recorded since then, read anew each time."""

    def __init__(self) -> None:
        self._before = len(recorded())

    def __getitem__(self, index: Any) -> Any:
        return self._all()[index]

    def __delitem__(self, index: slice) -> None:
        assert index == slice(None)
        self._before = len(recorded())

    def __len__(self) -> int:
        return len(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == other

    def _all(self) -> list[Event]:
        return recorded()[self._before :]


@pytest.fixture(
    params=[
        "captured",
        # Row and event can be one statement, in a transaction and without one.
        pytest.param("recorded", marks=pytest.mark.postgres),
        pytest.param(
            "recorded by itself",
            marks=[
                pytest.mark.postgres,
                pytest.mark.django_db(
                    transaction=True, available_apps=["core.events", "tests.sample"]
                ),
            ],
        ),
    ]
)
def events(request: pytest.FixtureRequest, book: Book) -> Iterator[Sequence[Event]]:
    """The events fired since `book` was there."""
    if request.param == "captured":
        with capture_events() as fired:
            yield fired
    else:
        yield Recorded()


def said(events: Sequence[Event]) -> list[tuple[str, Any]]:
    return [(event.name, event.data["changes"]) for event in events]


def updated(**changes: Any) -> list[tuple[str, Any]]:
    return [("model.updated", {name: list(pair) for name, pair in changes.items()})]


def test_created() -> None:
    """A new row is announced with the model, the key, its text and the values it has."""
    shelf = Shelf.objects.create(label="A")
    with capture_events() as events:
        book = Book.objects.create(title="new", shelf=shelf, price=Decimal("1.50"))
    (event,) = events
    assert (event.name, event.sender) == ("model.created", "sample.book")
    assert event.data["model"] == "sample.book"
    assert (event.data["pk"], event.data["text"]) == (str(book.pk), "new")
    changes = event.data["changes"]
    assert changes["title"] == [None, "new"]
    assert changes["shelf"] == [None, shelf.pk]
    assert changes["price"] == [None, Decimal("1.50")]
    assert changes["genre"] == [None, "novel"]
    assert not {"id", "updated_at", "views", "printed_on"} & changes.keys()


def test_updated_names_what_changed(book: Book, events: Sequence[Event]) -> None:
    """A save announces old and new value of the fields that differ, and no others."""
    book.title = "new"
    book.genre = Book.Genre.ESSAY
    book.save()
    assert said(events) == updated(title=("old", "new"), genre=("novel", "essay"))
    assert events[0].data["text"] == "new"


def test_nothing_changed(book: Book, events: Sequence[Event]) -> None:
    """A save that changes nothing announces nothing, also when types differ but values do not."""
    book.save()
    book.price = "9.90"  # type: ignore[assignment]
    book.copies = "0"  # type: ignore[assignment]
    book.notes = {"a": (1,)}
    book.save()
    assert events == []


def test_changed_back_and_forth(book: Book, events: Sequence[Event]) -> None:
    """Each save is compared with the one before."""
    for title in ("new", "new", "old"):
        book.title = title
        book.save()
    assert said(events) == [*updated(title=("old", "new")), *updated(title=("new", "old"))]


def test_json_changed_in_place(book: Book, events: Sequence[Event]) -> None:
    """A change inside a JSON value is noticed."""
    book.notes["a"].append(2)
    book.save()
    assert said(events) == updated(notes=({"a": [1]}, {"a": [1, 2]}))


def test_update_fields(book: Book, events: Sequence[Event]) -> None:
    """Only what was written is announced; the rest is when it is written."""
    book.title, book.copies = "new", 3
    book.save(update_fields=["copies"])
    assert said(events) == updated(copies=(0, 3))
    book.save()
    assert said(events[1:]) == updated(title=("old", "new"))


def test_foreign_keys_are_keys(book: Book, events: Sequence[Event]) -> None:
    """A foreign key is announced as the key it points to, whichever name it is saved by."""
    with capture_events():
        shelf = Shelf.objects.create(label="A")
    book.shelf = shelf
    book.save(update_fields=["shelf_id"])
    book.shelf = None
    book.save(update_fields=["shelf"])
    assert said(events) == [*updated(shelf=(None, shelf.pk)), *updated(shelf=(shelf.pk, None))]


def test_expressions_are_read_back(book: Book, events: Sequence[Event]) -> None:
    """A field set to an expression is announced with what the database made of it."""
    book.copies = F("copies") + 5
    book.save()
    assert said(events) == updated(copies=(0, 5))


def test_deferred_fields(book: Book, events: Sequence[Event]) -> None:
    """What was not loaded is looked up when it is written, and left alone when it is not."""
    partial = Book.objects.only("title").get()
    partial.copies = 7
    partial.save()
    assert said(events) == updated(copies=(0, 7))
    partial = Book.objects.defer("title").get()
    assert partial.title == "old"
    partial.title = "new"
    partial.save()
    assert said(events[1:]) == updated(title=("old", "new"))


def test_refresh_from_db(book: Book, events: Sequence[Event]) -> None:
    """After a reload, changes are told by what was reloaded."""
    with capture_events():
        Book.objects.update(title="theirs", copies=1)
    book.copies = 9
    book.refresh_from_db(fields=["title"])
    book.save()
    assert said(events) == updated(copies=(0, 9))
    book.refresh_from_db()
    book.title = "mine"
    book.save()
    assert said(events[1:]) == updated(title=("theirs", "mine"))


def test_instances_not_loaded_from_the_database(book: Book, events: Sequence[Event]) -> None:
    """An instance made by hand for a row that is there is compared with that row."""
    with capture_events():
        ticket = Ticket.objects.create(seat="1")
    Ticket(pk=ticket.pk, seat="2").save()
    copy = Book(pk=book.pk, title="new", notes=book.notes, created_at=book.created_at)
    copy.save(force_update=True)
    assert said(events) == [*updated(seat=("1", "2")), *updated(title=("old", "new"))]


def test_copied_rows(book: Book, events: Sequence[Event]) -> None:
    """Django's way to copy a row (a new key, saved as new) announces a new row."""
    book.pk = None
    book._state.adding = True
    book.save()
    assert [event.name for event in events] == ["model.created"]
    assert events[0].data["changes"]["title"] == [None, "old"]


def test_pickled_instances(book: Book, events: Sequence[Event]) -> None:
    """A pickled instance does not carry its values twice; its changes are noticed all the same."""
    pickled = pickle.dumps(book)
    assert pickled.count(b"notes") == 1
    revived = pickle.loads(pickled)
    revived.title = "new"
    revived.save()
    assert said(events) == updated(title=("old", "new"))


def test_masked_and_excluded(book: Book, events: Sequence[Event]) -> None:
    """Secrets change without their values; excluded fields are not even news."""
    book.access_token = "s3cret"
    book.owner_phone = "+49 30 1"
    book.save()
    assert said(events) == updated(access_token=("***", "***"), owner_phone=("***", "***"))
    book.views = 1
    book.save()
    assert len(events) == 1


def test_special_fields(book: Book, events: Sequence[Event]) -> None:
    """Dates keep their type, a file is its name, bytes are bytes."""
    book.cover = "covers/1.png"
    book.scan = b"\x00\x01"
    book.printed_on = "2026-01-31"  # type: ignore[assignment]
    book.save()
    assert said(events) == updated(
        cover=("", "covers/1.png"), scan=(b"", b"\x00\x01"), printed_on=(None, date(2026, 1, 31))
    )
    again = Book.objects.get()
    again.save()
    assert len(events) == 1


def test_uploaded_file(book: Book, events: list[Event], settings: Any, tmp_path: Any) -> None:
    """A file that is stored by the save is announced by the name it got."""
    settings.MEDIA_ROOT = tmp_path
    book.cover.save("c.png", ContentFile(b"x"))
    assert said(events) == updated(cover=("", book.cover.name))


def test_values_that_do_not_fit_into_an_event(book: Book, events: Sequence[Event]) -> None:
    """However long, deep or odd the values are, the row is saved; its event has what fits."""
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    book.text = "x" * 5_000_000
    book.notes = {"deep": deep, "long": "y" * 1_000_000, 1: "key"}
    book.scan = b"z" * 1_000_000
    book.save()
    changes = events[0].data["changes"]
    assert changes["text"][1].endswith("… [5000000 characters]")
    assert changes["notes"][1].startswith('{"deep": [[[')
    assert changes["scan"] == [b"", "[1000000 bytes]"]
    assert len(json.dumps(changes, default=str)) < 20_000


def test_broken_characters() -> None:
    """Text with half a character in JSON, which a database may take, does not fail the save."""
    with capture_events() as events:
        Book.objects.create(title="t", notes={"emoji": "🎫"})
        if connection.vendor == "sqlite":
            Book.objects.create(title="a\x00b", notes={"nul": "\x00", "half": "\ud83d"})
    assert events[0].data["changes"]["notes"] == [None, {"emoji": "🎫"}]
    if connection.vendor == "sqlite":
        assert events[1].data["changes"]["title"] == [None, "a\ufffdb"]
        assert events[1].data["changes"]["notes"][1].startswith('{"nul": ')


def test_soft_delete_and_restore(book: Book, events: Sequence[Event]) -> None:
    """Soft deletion and restoring fire only their own signals, however they are done."""
    book.delete()
    book.restore()
    book.is_deleted = True
    book.save()
    assert [event.name for event in events] == [
        "model.soft_deleted",
        "model.restored",
        "model.soft_deleted",
    ]
    assert events[0].data["changes"]["is_deleted"] == [False, True]
    assert events[0].data["changes"]["deleted_at"][0] is None
    book.soft_delete()
    assert len(events) == 3


def test_soft_delete_by_an_instance_that_is_behind(book: Book, events: Sequence[Event]) -> None:
    """What counts is the row, not what the instance believes."""
    book.delete()
    behind = Book.all_objects.get()
    book.restore()
    assert behind.soft_delete() is True
    assert [event.name for event in events][2:] == ["model.soft_deleted"]


def test_hard_delete(book: Book, events: Sequence[Event]) -> None:
    """A removed row is announced with the values that went with it."""
    pk = str(book.pk)
    book.title = "never saved"
    book.hard_delete()
    (event,) = events
    assert (event.name, event.data["pk"]) == ("model.deleted", pk)
    assert event.data["changes"]["title"] == ["old", None]
    assert not {"id", "views"} & event.data["changes"].keys()


def test_hard_delete_cascades(book: Book, events: Sequence[Event]) -> None:
    """Rows that go along are announced as well: one by itself, several of a model together."""
    with capture_events():
        shelf = Shelf.objects.create(label="A")
        book.shelf = shelf
        book.save()
        pages = [Page.objects.create(book=book, number=n) for n in range(3)]
        pages[0].delete()
    shelf.hard_delete()
    assert {event.name for event in events} == {"model.deleted"}
    by_model = {event.data["model"]: event.data for event in events}
    assert len(events) == 3
    assert by_model["sample.shelf"]["text"] == "A"
    assert by_model["sample.book"]["pk"] == str(book.pk)
    assert sorted(by_model["sample.page"]["pks"]) == sorted(str(page.pk) for page in pages)


def test_hard_delete_sets_null(book: Book, events: Sequence[Event]) -> None:
    """A foreign key that Django empties, as its target goes, is announced as a change."""
    with capture_events():
        sequel = Book.objects.create(title="second", sequel_to=book)
    book.hard_delete()
    assert [event.name for event in events] == ["model.updated", "model.deleted"]
    assert events[0].data["pks"] == [str(sequel.pk)]
    assert events[0].data["changes"] == {"sequel_to": [None, None]}
    assert events[0].data["exact"] is False


def test_deletion_begun_by_another_model() -> None:
    """A cascade that begins at a model without life cycle signals is announced too."""
    room = Room.objects.create()
    desks = [Desk.objects.create(room=room) for _ in range(2)]
    desks[0].delete()
    with capture_events() as events:
        room.delete()
    assert [event.name for event in events] == ["model.deleted"] * 2
    assert {event.data["pk"] for event in events} == {str(desk.pk) for desk in desks}


def test_proxies_and_children(events: Sequence[Event]) -> None:
    """A proxy speaks as the model it stands for, a child with its parent's fields."""
    Paperback.objects.create(title="p")
    with capture_events() as fired:
        novel = Novel.objects.create(title="n", pages=5)
        novel.pages, novel.title = 6, "m"
        novel.save()
    assert [event.data["model"] for event in events] == ["sample.book"]
    assert [event.data["model"] for event in fired] == ["sample.novel", "sample.novel"]
    assert said(fired)[1:] == updated(title=("n", "m"), pages=(5, 6))


def test_silent_models() -> None:
    """A model with `emits_events = False`, and every other model, announces nothing."""
    with capture_events() as events:
        counter = Counter.objects.create()
        counter.value = 1
        counter.save()
        Counter.objects.update(value=2)
        Counter.objects.bulk_create([Counter()])
        counter.delete()
        counter.restore()
        Counter.all_objects.all().hard_delete()
        get_user_model().objects.create(username="u").delete()
    assert events == []


def test_fixtures_are_silent(book: Book, events: Sequence[Event]) -> None:
    """Rows loaded from a fixture announce nothing."""
    text = serializers.serialize("json", [book])
    book.hard_delete()
    del events[:]
    for item in serializers.deserialize("json", text):
        item.save()
    assert Book.objects.count() == 1
    assert events == []


def test_receivers_hear_it_too(book: Book) -> None:
    """Ordinary receivers get what the event carries."""
    heard: list[dict[str, Any]] = []

    def listen(sender: type[Book], **kwargs: Any) -> None:
        heard.append({"sender": sender, **kwargs})

    model_updated.connect(listen, sender=Book)
    try:
        book.title = "new"
        book.save()
    finally:
        model_updated.disconnect(listen, sender=Book)
    (call,) = heard
    assert call["sender"] is Book
    assert call["changes"] == {"title": ["old", "new"]}


def test_saving_again_in_a_receiver(book: Book, events: Sequence[Event]) -> None:
    """A receiver that saves the same instance again is announced after what it reacted to."""

    def react(instance: Book, **kwargs: Any) -> None:
        if instance.copies == 0:
            instance.copies = 1
            instance.save()

    post_save.connect(react, sender=Book)
    try:
        book.title = "new"
        book.save()
    finally:
        post_save.disconnect(react, sender=Book)
    assert said(events) == [*updated(title=("old", "new")), *updated(copies=(0, 1))]


def test_broken_text_does_not_fail_the_save() -> None:
    """A `__str__` that raises is replaced by the model's name and the key."""
    book = Book.objects.create(title="b")
    page = Page.objects.create(book=book, number=1)
    with capture_events() as events:
        book.hard_delete()
    texts = {event.data["model"]: event.data["text"] for event in events}
    assert texts["sample.book"] == "b"
    assert texts["sample.page"] in (f"Page ({page.pk})", "1 of b")


@pytest.mark.django_db(transaction=True, available_apps=["core.events", "tests.sample"])
class TestTransactions:
    """The row and its event share a fate."""

    def test_together(self) -> None:
        """The event is recorded with the row, and undone with it."""
        Shelf.objects.create(label="kept")
        with transaction.atomic():
            Shelf.objects.create(label="undone")
            transaction.set_rollback(True)
        assert EventRecord.objects.filter(sender="sample.shelf").count() == 1
        assert Shelf.objects.count() == 1

    def test_saved_again_after_a_rollback(self) -> None:
        """What was saved in a transaction that failed is news again when it is saved again."""
        shelf = Shelf.objects.create(label="a")
        shelf.label = "b"
        with transaction.atomic():
            shelf.save()
            transaction.set_rollback(True)
        with capture_events() as events:
            shelf.save()
        assert said(events) == updated(label=("a", "b"))

    def test_what_is_committed_is_known(self) -> None:
        """The next save asks nothing about the row, though the one before was in a transaction."""
        shelf = Shelf.objects.create(label="a")
        shelf.label = "b"
        with transaction.atomic():
            shelf.save()
        shelf.label = "c"
        with CaptureQueriesContext(connection) as queries, capture_events() as events:
            shelf.save()
        assert said(events) == updated(label=("b", "c"))
        assert not [query for query in queries if query["sql"].startswith("SELECT")]

    @pytest.mark.parametrize("how", ["saved", "savepoint", "bulk", "reloaded"])
    def test_what_came_later_in_the_transaction_counts(self, how: str) -> None:
        """However a row went on, old values are those that the database holds."""
        shelf = Shelf.objects.create(label="a")
        with transaction.atomic():
            shelf.label = "b"
            shelf.save()
            shelf.label = "c"
            if how == "saved":
                shelf.save()
            elif how == "bulk":
                Shelf.objects.bulk_update([shelf], ["label"])
            elif how == "reloaded":
                Shelf.objects.filter(pk=shelf.pk).update(label="c")
                shelf.refresh_from_db()
            else:
                with transaction.atomic():
                    shelf.save()
                    transaction.set_rollback(True)
        stored = Shelf.objects.values_list("label", flat=True).get()
        assert stored == ("b" if how == "savepoint" else "c")
        shelf.label = "d"
        with capture_events() as events:
            shelf.save()
        assert said(events) == updated(label=(stored, "d"))

    def test_a_refused_event_refuses_the_row(self) -> None:
        """Without its event the row is not changed, even if the error is caught in between."""

        def refuse(**kwargs: Any) -> None:
            raise EventPayloadError("no")

        model_created.connect(refuse, sender=Shelf)
        try:
            with pytest.raises(EventPayloadError):
                Shelf.objects.create(label="a")
            with transaction.atomic():
                with pytest.raises(EventPayloadError):
                    Shelf.objects.create(label="b")
                assert connection.needs_rollback
                transaction.set_rollback(True)
        finally:
            model_created.disconnect(refuse, sender=Shelf)
        assert not Shelf.all_objects.exists()
        assert not EventRecord.objects.filter(sender="sample.shelf").exists()

    def test_the_cost_of_a_save(self) -> None:
        """Row and event are one statement on PostgreSQL; without a change there is no event."""
        shelf = Shelf.objects.create(label="a")
        shelf = Shelf.objects.get()

        def statements() -> int:
            with CaptureQueriesContext(connection) as queries:
                shelf.save()
            kinds = [query["sql"].split()[0] for query in queries]
            return len([kind for kind in kinds if kind not in ("BEGIN", "COMMIT")])

        assert statements() == 1
        shelf.label = "b"
        assert statements() == (1 if connection.vendor == "postgresql" else 3)


def test_tracked_rows_removed_together() -> None:
    """With `track_bulk_changes`, rows that are removed together are announced with their values."""
    for name in ("a", "b"):
        Account.objects.create(name=name)
    with capture_events() as events:
        Account.objects.all().hard_delete()
    assert sorted(event.data["changes"]["name"][0] for event in events) == ["a", "b"]
    assert {len(event.data["pks"]) for event in events} == {1}
