"""Deleted rows are kept, hidden, shown on demand, and can come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import IntegrityError, NotSupportedError, connection, transaction
from django.db.models import Count, Exists, Prefetch, Q
from django.db.models.signals import post_delete, post_save, pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.events import capture_events
from core.events.models import EventRecord
from core.exceptions import ConflictError
from core.signals import model_restored, model_soft_deleted
from tests.sample.models import Account, Book, Draft, Novel, Seat, Shelf

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf() -> Shelf:
    """A shelf with a live book and a deleted one."""
    shelf = Shelf.objects.create(label="A")
    Book.objects.create(title="live", shelf=shelf)
    Book.objects.create(title="gone", shelf=shelf).delete()
    Book.objects.create(title="elsewhere").delete()
    return shelf


def titles(rows: object) -> list[str]:
    return sorted(row.title for row in rows)  # type: ignore[attr-defined]


def test_delete_marks_the_row() -> None:
    """`delete()` sets flag and time, keeps the row, hides it, and returns Django's shape."""
    book = Book.objects.create(title="b")
    moment = book.updated_at
    assert book.delete() == (1, {"sample.Book": 1})
    assert book.is_deleted
    assert abs(timezone.now() - book.deleted_at).total_seconds() < 60
    assert not Book.objects.filter(pk=book.pk).exists()
    kept = Book.all_objects.get(pk=book.pk)
    assert kept.deleted_at == book.deleted_at
    assert kept.updated_at > moment


def test_delete_twice_keeps_the_first_time() -> None:
    """A second deletion does nothing, also by an instance that does not know of the first."""
    book = Book.objects.create(title="b")
    stale = Book.objects.get(pk=book.pk)
    book.delete()
    assert stale.delete() == (0, {})
    assert stale.is_deleted
    assert stale.deleted_at == book.deleted_at
    assert book.soft_delete() is False
    assert Book.all_objects.get().deleted_at == book.deleted_at


def test_restore() -> None:
    """`restore()` clears flag and time and shows the row again; a live row stays as it is."""
    book = Book.objects.create(title="b")
    book.delete()
    assert book.restore() is True
    assert book.restore() is False
    row = Book.objects.get()
    assert (row.is_deleted, row.deleted_at) == (False, None)


def test_hard_delete_removes_the_row() -> None:
    """`delete(soft=False)` is Django's deletion, cascades included."""
    shelf = Shelf.objects.create(label="A")
    Book.objects.create(title="b", shelf=shelf)
    count, _ = shelf.delete(soft=False)
    assert count == 2
    assert not Book.all_objects.exists()


def test_deleting_what_was_never_saved() -> None:
    """Django's own errors speak: no key, no row."""
    with pytest.raises(Book.DoesNotExist):
        Book(title="b").delete()
    with pytest.raises(ValueError, match="can't be deleted"):
        Draft(title="d").delete()


def test_soft_delete_leaves_children_alone() -> None:
    """Children of a deleted row stay, and still reach it."""
    shelf = Shelf.objects.create(label="A")
    book = Book.objects.create(title="b", shelf=shelf)
    shelf.delete()
    book = Book.objects.get()
    assert book.shelf.label == "A"
    assert Book.objects.filter(shelf__label="A").exists()


@pytest.mark.parametrize("model", [Draft, Novel])
def test_other_kinds_of_models(model: type[Draft]) -> None:
    """Soft deletion works with integer keys, without timestamps, and over two tables."""
    row = model.objects.create(title="d")
    row.delete()
    assert not model.objects.exists()
    row.restore()
    assert model.objects.exists()
    assert model.objects.all().delete() == (1, {model._meta.label: 1})
    assert model.all_objects.all().restore() == 1
    row.delete(soft=False)
    assert not model.all_objects.exists()


def test_managers_hide_and_show(shelf: Shelf) -> None:
    """`objects` hides deleted rows; deleted(), with_deleted() and all_objects show them."""
    assert titles(Book.objects.all()) == ["live"]
    assert Book.objects.count() == 1
    assert titles(Book.objects.active()) == ["live"]
    assert titles(Book.objects.deleted()) == ["elsewhere", "gone"]
    assert titles(Book.objects.with_deleted()) == ["elsewhere", "gone", "live"]
    assert titles(Book.all_objects.all()) == ["elsewhere", "gone", "live"]
    assert titles(Book.objects.filter(is_deleted=False)) == ["live"]


def test_with_deleted_after_filters(shelf: Shelf) -> None:
    """Filters given before stay; only the manager's own condition goes."""
    assert titles(Book.objects.filter(title__contains="l").with_deleted()) == ["elsewhere", "live"]
    assert titles(Book.objects.exclude(title="gone").with_deleted()) == ["elsewhere", "live"]
    assert titles(Book.objects.filter(shelf__label="A").with_deleted()) == ["gone", "live"]
    assert titles(Book.objects.filter(is_deleted=False).with_deleted()) == ["live"]
    assert titles(Book.objects.with_deleted().hide_deleted().deleted()) == ["elsewhere", "gone"]


def test_with_deleted_after_combining(shelf: Shelf) -> None:
    """Queries joined by | and & show deleted rows as if they had never been hidden."""
    live, gone = Book.objects.filter(title="live"), Book.objects.filter(title="gone")
    assert titles((live | gone).with_deleted()) == ["gone", "live"]
    assert titles((live & gone).with_deleted()) == []
    everything = live | gone | Book.objects.all()
    assert titles(everything) == ["live"]
    assert titles(everything.with_deleted()) == ["elsewhere", "gone", "live"]
    assert titles((Book.objects.filter(~Q(title="x")) | live).with_deleted()) == [
        "elsewhere",
        "gone",
        "live",
    ]


def test_related_managers(shelf: Shelf) -> None:
    """Related managers hide deleted rows and show them on demand, those of this parent only."""
    assert titles(shelf.books.all()) == ["live"]
    assert titles(shelf.books.with_deleted()) == ["gone", "live"]
    assert titles(shelf.books.deleted()) == ["gone"]
    fetched = Shelf.objects.prefetch_related("books").get()
    assert titles(fetched.books.all()) == ["live"]
    assert titles(fetched.books.with_deleted()) == ["gone", "live"]


def test_relations_to_one_row() -> None:
    """A foreign key leads to its deleted row, and a one-to-one relation from both sides."""
    shelf = Shelf.objects.create(label="a")
    Novel.objects.create(title="n", shelf=shelf).delete()
    shelf.delete()
    book = Book.all_objects.get()
    assert book.shelf == shelf
    assert book.novel.book_ptr == book
    assert Book.all_objects.select_related("shelf", "novel").get().novel.is_deleted


def test_with_deleted_where_it_cannot_work() -> None:
    """After a slice or a union it says so instead of doing nothing."""
    with pytest.raises(TypeError, match="slice"):
        Book.objects.all()[:1].with_deleted()
    with pytest.raises(NotSupportedError):
        Book.objects.all().union(Book.objects.all()).with_deleted()


def test_queryset_deletes_and_restores(shelf: Shelf) -> None:
    """On a queryset, `delete()` marks, `restore()` brings back, `hard_delete()` removes."""
    first = Book.all_objects.get(title="gone").deleted_at
    moment = Book.objects.get().updated_at
    assert Book.objects.with_deleted().delete() == (1, {"sample.Book": 1})
    assert Book.objects.all().delete() == (0, {})
    assert Book.all_objects.get(title="gone").deleted_at == first
    assert Book.all_objects.get(title="live").updated_at > moment
    assert Book.objects.filter(shelf=shelf).restore() == 2
    assert titles(Book.objects.all()) == ["gone", "live"]
    assert Book.all_objects.all().hard_delete()[0] == 3


def test_queryset_delete_of_awkward_queries(shelf: Shelf) -> None:
    """Grouped, distinct and joined queries are deleted as well."""
    counted = Shelf.objects.annotate(n=Count("books")).filter(n__gt=0)
    assert counted.delete()[0] == 1
    assert Book.objects.filter(shelf__books__title="live").distinct().delete()[0] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:1],
        lambda rows: rows.union(rows),
        lambda rows: rows.distinct("pk"),
        lambda rows: rows.values("pk"),
        lambda rows: rows.values_list("pk", flat=True),
    ],
)
def test_queries_that_are_not_deleted(shelf: Shelf, change: Callable[[Any], Any]) -> None:
    """They are those of Django, and its errors."""
    with pytest.raises((TypeError, NotSupportedError)) as ours:
        change(Book.objects.order_by()).delete()
    with pytest.raises(ours.type) as theirs:
        change(User.objects.order_by()).delete()
    assert str(ours.value) == str(theirs.value)
    assert Book.objects.count() == 1


def test_managers_do_not_delete() -> None:
    """As in Django, a manager cannot delete a whole table by accident."""
    for name in ("delete", "restore", "hard_delete"):
        assert not hasattr(Book.objects, name)


def test_taken_unique_value() -> None:
    """A deleted row keeps its unique values in the database."""
    Shelf.objects.create(label="A").delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        Shelf.objects.create(label="A")


def test_restoring_into_a_taken_value() -> None:
    """ConflictError says that a unique value is taken; nothing changed, the caller can go on."""
    gone = Seat.objects.create(number=1)
    gone.delete()
    deleted_at = gone.deleted_at
    Seat.objects.create(number=1)
    with capture_events() as events, transaction.atomic():
        with pytest.raises(ConflictError, match="unique"):
            gone.restore()
        with pytest.raises(ConflictError, match=r"^A row of sample\.Seat cannot be restored"):
            Seat.objects.deleted().restore()
        assert Seat.objects.count() == 1
    assert (gone.is_deleted, gone.deleted_at) == (True, deleted_at)
    assert events == []


def test_what_fails_while_restoring_is_not_taken_for_a_conflict() -> None:
    """The error of a receiver that stores what cannot be stored comes through as it is."""
    seat = Seat.objects.create(number=1)
    seat.delete()

    def fail(**_: object) -> None:
        Shelf.objects.create(label=None)

    post_save.connect(fail, sender=Seat)
    try:
        with pytest.raises(IntegrityError), transaction.atomic():
            seat.restore()
    finally:
        post_save.disconnect(fail, sender=Seat)
    assert seat.is_deleted


def test_showing_hiding_and_narrowing_chain(shelf: Shelf) -> None:
    """active() and deleted() narrow; with_deleted() takes back only what the manager hid."""
    assert titles(Book.objects.with_deleted().active()) == ["live"]
    assert titles(Book.objects.deleted().active()) == []
    assert titles(Book.objects.deleted().with_deleted()) == ["elsewhere", "gone"]
    assert titles(Book.objects.filter(title="gone").deleted()) == ["gone"]
    assert titles(shelf.books.filter(title="gone").with_deleted().active()) == []


def test_subqueries_and_aggregates(shelf: Shelf) -> None:
    """Subqueries, aggregates and annotations see what their own queryset shows."""
    both = Shelf.objects.filter(pk__in=Book.objects.with_deleted().values("shelf"))
    assert both.get() == shelf
    assert not Shelf.objects.filter(pk__in=Book.objects.filter(title="gone").values("shelf"))
    inner = Book.objects.values("pk")
    assert titles(Book.objects.with_deleted().exclude(pk__in=inner)) == ["elsewhere", "gone"]
    counted = {"n": Count("pk")}
    assert Book.objects.aggregate(**counted) == {"n": 1}
    assert Book.objects.with_deleted().aggregate(**counted) == {"n": 3}
    per_shelf = Book.objects.with_deleted().values("shelf").annotate(**counted).order_by("n")
    assert [row["n"] for row in per_shelf] == [1, 2]
    assert Book.objects.filter(Exists(Book.objects.deleted())).count() == 1


def test_values_and_iterators(shelf: Shelf) -> None:
    """values(), values_list(), iterator(), earliest() and in_bulk() hide and show alike."""
    assert list(Book.objects.values_list("title", flat=True)) == ["live"]
    assert {row["title"] for row in Book.objects.deleted().values("title")} == {"gone", "elsewhere"}
    assert titles(Book.objects.with_deleted().iterator(chunk_size=1)) == titles(
        Book.all_objects.all()
    )
    assert Book.objects.earliest("title").title == "live"
    assert len(Book.objects.with_deleted().in_bulk()) == 3


def test_prefetched_on_demand(shelf: Shelf) -> None:
    """`Prefetch` takes a queryset that shows deleted rows."""
    rows = Prefetch("books", queryset=Book.objects.with_deleted())
    assert titles(Shelf.objects.prefetch_related(rows).get().books.all()) == ["gone", "live"]


def test_unions_show_what_their_parts_show(shelf: Shelf) -> None:
    """A union is made of what each part shows; it can be neither narrowed nor deleted."""
    # SQLite takes no ordered parts.
    union = Book.objects.order_by().union(Book.objects.deleted().order_by())
    assert titles(union) == ["elsewhere", "gone", "live"]
    for refused in (union.active, union.deleted, union.delete, union.restore):
        with pytest.raises(NotSupportedError):
            refused()


def test_the_mark_is_indexed() -> None:
    """The condition that every query has is backed by an index."""
    assert Book._meta.get_field("is_deleted").db_index


def test_no_delete_signals_of_django() -> None:
    """Soft deletion is a save for Django's signals; its own signals tell what it is."""
    heard: list[str] = []

    def deleted(**kwargs: object) -> None:
        heard.append("deleted")

    def marked(pk: str = "", pks: tuple[str, ...] = (), **kwargs: object) -> None:
        heard.append(pk or pks[0])

    book = Book.objects.create(title="b")
    for signal in (pre_delete, post_delete):
        signal.connect(deleted, sender=Book)
    for own in (model_soft_deleted, model_restored):
        own.connect(marked, sender=Book)
    try:
        book.delete()
        book.restore()
        Book.objects.all().delete()
        Book.objects.deleted().restore()
    finally:
        for signal in (pre_delete, post_delete):
            signal.disconnect(deleted, sender=Book)
        for own in (model_soft_deleted, model_restored):
            own.disconnect(marked, sender=Book)
    assert heard == [str(book.pk)] * 4


@pytest.mark.parametrize("soft", [None, 0, "default"])
def test_delete_with_a_wrong_argument(soft: object) -> None:
    """`soft` is True or False; a database alias that landed there deletes nothing."""
    book = Book.objects.create(title="b")
    with pytest.raises(TypeError, match="soft="):
        book.delete(soft)  # type: ignore[arg-type]
    assert Book.objects.exists()


def test_many_rows_take_one_update(shelf: Shelf) -> None:
    """However many rows there are, deleting and restoring are one UPDATE and one recording."""
    Book.objects.bulk_create([Book(title=str(n)) for n in range(2100)])
    for work in (Book.objects.all().delete, Book.objects.deleted().restore):
        with CaptureQueriesContext(connection) as queries, capture_events() as events:
            work()
        statements = [query["sql"].split()[0] for query in queries]
        assert statements.count("UPDATE") == 1
        assert "SELECT" not in statements
        assert max(len(event.data["pks"]) for event in events) == 1000


def test_tracked_restoring_tells_the_times() -> None:
    """With `track_bulk_changes`, restoring tells when each row had been deleted."""
    account = Account.objects.create(name="a")
    account.delete()
    with capture_events() as events:
        Account.objects.deleted().restore()
    assert events[0].data["changes"]["deleted_at"] == [account.deleted_at, None]
    assert events[0].data["exact"] is True


def test_in_an_event_loop() -> None:
    """Each way to delete and restore, of a row and of a queryset, has an asynchronous twin."""

    async def run(book: Book) -> None:
        assert await book.adelete() == (1, {"sample.Book": 1})
        assert await book.asoft_delete() is False
        assert await book.arestore() is True
        assert await Book.objects.all().adelete() == (1, {"sample.Book": 1})
        assert await Book.objects.deleted().arestore() == 1
        assert await book.adelete(soft=False) == (1, {"sample.Book": 1})
        again = await Book.objects.acreate(title="again")
        assert await again.ahard_delete() == (1, {"sample.Book": 1})
        await Book.objects.acreate(title="and again")
        assert await Book.objects.all().ahard_delete() == (1, {"sample.Book": 1})
        assert await Book.all_objects.acount() == 0

    async_to_sync(run)(Book.objects.create(title="t"))


@pytest.mark.django_db(transaction=True, available_apps=["core.events", "tests.sample"])
class TestAtOnce:
    """Threads with connections of their own."""

    def test_restoring_against_a_new_row(self) -> None:
        """Of a restore and an insert of the same value at once exactly one wins."""
        for number in range(5):
            gone = Seat.objects.create(number=number)
            gone.delete()
            outcomes = at_once(gone.restore, lambda n=number: Seat.objects.create(number=n))
            assert sorted(outcomes) in (["ConflictError", "done"], ["IntegrityError", "done"])
            assert Seat.objects.filter(number=number).count() == 1

    def test_deleting_the_same_rows(self) -> None:
        """Rows that several delete at once are counted, and announced, once each."""
        Book.objects.bulk_create([Book(title=str(n)) for n in range(50)])
        at_once(*[Book.objects.all().delete] * 4)
        told = EventRecord.objects.filter(name="model.soft_deleted")
        pks = [pk for event in told for pk in json.loads(event.data)["pks"]]
        assert len(pks) == len(set(pks)) == 50


def at_once(*calls: Callable[[], object]) -> list[str]:
    """Run the calls in threads that begin together; return "done" or the error's name of each."""
    together = Barrier(len(calls))

    def run(call: Callable[[], object]) -> str:
        together.wait()
        try:
            call()
        except (ConflictError, IntegrityError) as error:
            return type(error).__name__
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
