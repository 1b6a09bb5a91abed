"""What bulk operations announce: which rows, what changed, and no more than what is true."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, connection
from django.db.models import Count, F, OuterRef, Q, Subquery, Value
from django.test.utils import CaptureQueriesContext

from core.events import Event, EventPayloadError, capture_events
from core.events.models import EventRecord
from core.signals import model_updated
from tests.sample.models import Account, Book, Novel, Shelf, Ticket

pytestmark = pytest.mark.django_db


@pytest.fixture
def books() -> list[Book]:
    """Three stored books on a shelf, "0" to "2"."""
    shelf = Shelf.objects.create(label="A")
    return [Book.objects.create(title=str(n), shelf=shelf, copies=n) for n in range(3)]


@pytest.fixture
def accounts() -> list[Account]:
    """Three stored accounts, "0" to "2", two of them with 5 on it; their model is tracked."""
    return [Account.objects.create(name=str(n), balance=5 if n else 0) for n in range(3)]


@pytest.fixture
def events(books: list[Book], accounts: list[Account]) -> Iterator[list[Event]]:
    """The events fired since the rows were there."""
    with capture_events() as fired:
        yield fired


def keys(rows: Any) -> list[str]:
    return sorted(str(row.pk) for row in rows)


def only(events: list[Event]) -> dict[str, Any]:
    (event,) = events
    return event.data


def test_update(books: list[Book], events: list[Event]) -> None:
    """`update()` announces the rows it changed and the new value; the old is unknown."""
    assert Book.objects.filter(copies__gt=0).update(title="new") == 2
    data = only(events)
    assert (events[0].name, events[0].sender) == ("model.updated", "sample.book")
    assert data["model"] == "sample.book"
    assert sorted(data["pks"]) == keys(books[1:])
    assert data["changes"] == {"title": [None, "new"]}
    assert data["exact"] is False


def test_update_of_nothing(events: list[Event]) -> None:
    """Without a row there is no event; a wrong field is still refused as Django does."""
    assert Book.objects.filter(copies=99).update(title="new") == 0
    assert Book.objects.none().update(title="new") == 0
    assert events == []
    with pytest.raises(FieldDoesNotExist):
        Book.objects.update(nonsense=1)
    with pytest.raises(TypeError):
        Book.objects.all()[:1].update(title="x")


def test_update_with_expressions_and_secrets(books: list[Book], events: list[Event]) -> None:
    """What an expression yields is unknown, secrets are masked, excluded fields are no news."""
    Book.objects.update(copies=F("copies") + 1, access_token="t", shelf=books[0].shelf)
    assert only(events)["changes"] == {
        "copies": [None, None],
        "access_token": [None, "***"],
        "shelf": [None, books[0].shelf_id],
    }
    assert sorted(Book.objects.values_list("copies", flat=True)) == [1, 2, 3]
    Book.objects.update(views=5)
    assert len(events) == 1


def test_tracked_update(accounts: list[Account], events: list[Event]) -> None:
    """With `track_bulk_changes`, rows that changed alike share an exact event; others have none."""
    Account.objects.update(balance=5)
    assert only(events)["pks"] == [str(accounts[0].pk)]
    assert only(events)["changes"] == {"balance": [0, 5]}
    assert only(events)["exact"] is True
    Account.objects.exclude(name="0").update(balance=F("balance") * 2)
    assert events[1].data["changes"] == {"balance": [5, 10]}
    assert sorted(events[1].data["pks"]) == keys(accounts[1:])


def test_soft_deletion_in_bulk(books: list[Book], events: list[Event]) -> None:
    """Deleting, restoring and removing many rows fires one event of its own kind each."""
    Book.objects.all().delete()
    Book.objects.deleted().restore()
    Book.objects.all().hard_delete()
    assert [event.name for event in events] == [
        "model.soft_deleted",
        "model.restored",
        "model.deleted",
    ]
    for event in events:
        assert sorted(event.data["pks"]) == keys(books)
    assert events[0].data["changes"]["is_deleted"] == [False, True]
    assert events[0].data["exact"] is True
    assert events[2].data["changes"] == {}


def test_update_of_the_mark(books: list[Book], events: list[Event]) -> None:
    """`update(is_deleted=True)` is a soft deletion of those rows that were not deleted yet."""
    with capture_events():
        books[0].delete()
    assert Book.all_objects.update(is_deleted=True) == 3
    assert events[0].name == "model.soft_deleted"
    assert sorted(only(events)["pks"]) == keys(books[1:])


def test_bulk_create(events: list[Event]) -> None:
    """`bulk_create()` announces the new keys; of a tracked model the values as well."""
    made = Book.objects.bulk_create([Book(title=str(n)) for n in range(3)])
    assert events[0].name == "model.created"
    assert sorted(only(events)["pks"]) == keys(made)
    assert only(events)["exact"] is False
    Account.objects.bulk_create([Account(name="x", balance=1)])
    assert events[1].data["changes"]["name"] == [None, "x"]
    assert events[1].data["exact"] is True
    assert Book.objects.bulk_create([]) == []
    assert len(events) == 2


def test_bulk_create_with_keys_from_the_database(events: list[Event]) -> None:
    """Keys that the database makes are announced when it tells them."""
    made = Ticket.objects.bulk_create([Ticket(seat="1"), Ticket(seat="2")])
    assert only(events)["pks"] == [str(ticket.pk) for ticket in made]


def test_bulk_create_ignoring_conflicts(accounts: list[Account], events: list[Event]) -> None:
    """Rows that were left out because of a conflict are not announced."""
    new = Account(name="new")
    Account.objects.bulk_create(
        [new, Account(name="0"), Account(pk=accounts[1].pk, name="y")], ignore_conflicts=True
    )
    assert only(events)["pks"] == [str(new.pk)]
    assert Account.objects.count() == 4


def test_bulk_create_updating_conflicts(accounts: list[Account], events: list[Event]) -> None:
    """An upsert announces new rows as created, and changed ones under their own keys."""
    new = Account(name="new", balance=1)
    Account.objects.bulk_create(
        [new, Account(name="0", balance=1), Account(name="1", balance=5)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["balance"],
    )
    created, updated = events
    assert (created.name, created.data["pks"]) == ("model.created", [str(new.pk)])
    assert (updated.name, updated.data["pks"]) == ("model.updated", [str(accounts[0].pk)])
    assert updated.data["changes"] == {"balance": [0, 1]}


def test_bulk_update(books: list[Book], accounts: list[Account], events: list[Event]) -> None:
    """`bulk_update()` announces rows and fields; of a tracked model old and new values."""
    for book in books:
        book.title += "!"
    assert Book.objects.bulk_update(books, ["title"]) == 3
    assert sorted(only(events)["pks"]) == keys(books)
    assert only(events)["changes"] == {"title": [None, None]}
    books[0].save()
    assert len(events) == 1
    accounts[0].balance = 7
    Account.objects.bulk_update(accounts, ["balance"])
    assert events[1].data["changes"] == {"balance": [0, 7]}
    assert events[1].data["pks"] == [str(accounts[0].pk)]


def test_related_managers_and_updates_of_joins(books: list[Book], events: list[Event]) -> None:
    """Related managers, joins, grouped, distinct and annotated queries announce the same way."""
    shelf = books[0].shelf
    assert shelf is not None
    shelf.books.remove(books[0])
    shelf.books.add(books[0])
    Book.objects.filter(shelf__label="A", title="1").update(copies=9)
    Shelf.objects.annotate(n=Count("books")).filter(n=3).update(label="B")
    Book.objects.filter(Q(shelf__books__title="2")).distinct().order_by("title").update(copies=8)
    longest = Book.objects.filter(shelf=OuterRef("pk")).order_by("-title").values("title")[:1]
    Shelf.objects.annotate(top=Subquery(longest)).update(label=F("top"))
    Book.objects.annotate(more=F("copies") + Value(1)).filter(more=9).update(copies=F("more"))
    assert [len(event.data["pks"]) for event in events] == [1, 1, 1, 1, 3, 1, 3]
    assert Shelf.objects.get().label == "2"
    assert set(Book.objects.values_list("copies", flat=True)) == {9}


def test_update_of_two_tables(events: list[Event]) -> None:
    """Fields of a parent's table are announced as fields of the child."""
    with capture_events():
        novel = Novel.objects.create(title="n", pages=1)
    Novel.objects.filter(title="n").update(title="m", pages=2)
    assert only(events)["changes"] == {"title": [None, "m"], "pages": [None, 2]}
    assert Novel.objects.get().pk == novel.pk


def test_many_rows_make_few_events(events: list[Event]) -> None:
    """Events name at most 1000 rows each, and all of one operation are recorded at once."""
    with capture_events():
        Book.objects.all().hard_delete()
        Book.objects.bulk_create([Book(title=str(n)) for n in range(2500)])
    Book.objects.update(title="new")
    Book.objects.all().delete()
    Book.all_objects.all().hard_delete()
    sizes = [(event.name, len(event.data["pks"])) for event in events]
    for name in ("model.updated", "model.soft_deleted", "model.deleted"):
        assert [size for each, size in sizes if each == name] == [1000, 1000, 500]


def test_the_cost_of_an_update(books: list[Book]) -> None:
    """An update says itself which rows it changed; recording the event is one more statement."""
    with CaptureQueriesContext(connection) as queries:
        Book.objects.update(title="new")
    kinds = [query["sql"].split()[0] for query in queries]
    assert kinds[0] == "UPDATE"
    assert len(kinds) <= (2 if connection.vendor == "postgresql" else 3)


@pytest.mark.django_db(transaction=True, available_apps=["core.events", "tests.sample"])
class TestTransactions:
    """Rows and events share a fate."""

    def test_recorded_with_the_rows(self) -> None:
        """Without a transaction of the caller, rows and event are one all the same."""
        Shelf.objects.bulk_create([Shelf(label="a"), Shelf(label="b")])
        assert EventRecord.objects.filter(name="model.created").count() == 1

        def refuse(**kwargs: Any) -> None:
            raise EventPayloadError("no")

        model_updated.connect(refuse, sender=Shelf)
        try:
            with pytest.raises(EventPayloadError):
                Shelf.objects.filter(label="a").update(label="c")
        finally:
            model_updated.disconnect(refuse, sender=Shelf)
        assert not Shelf.objects.filter(label="c").exists()
        assert not EventRecord.objects.filter(name="model.updated").exists()

    def test_only_one_of_many_wins(self) -> None:
        """Of updates that race for a condition one changes the row, as with Django's update()."""
        account = Account.objects.create(name="a", balance=5)
        together = Barrier(4)

        def withdraw(_: int) -> int:
            together.wait()
            try:
                return Account.objects.filter(pk=account.pk, balance=5).update(balance=0)
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(withdraw, range(4))) == [0, 0, 0, 1]
        assert EventRecord.objects.filter(name="model.updated").count() == 1

    def test_conflicting_rows_are_not_announced(self) -> None:
        """A bulk insert that fails announces nothing."""
        with capture_events() as events, pytest.raises(IntegrityError):
            Shelf.objects.bulk_create([Shelf(label="a"), Shelf(label="a")])
        assert events == []
