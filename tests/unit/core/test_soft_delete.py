"""Deleted rows are kept, hidden, shown on demand, and can come back."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, NotSupportedError, transaction
from django.db.models import Count, Q
from django.utils import timezone

from core.events import capture_events
from core.exceptions import ConflictError
from tests.sample.models import Book, Draft, Novel, Seat, Shelf

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
    """Grouped, distinct and joined queries are deleted as well; a slice is refused."""
    counted = Shelf.objects.annotate(n=Count("books")).filter(n__gt=0)
    assert counted.delete()[0] == 1
    assert Book.objects.filter(shelf__books__title="live").distinct().delete()[0] == 1
    with pytest.raises(TypeError):
        Book.objects.all()[:1].delete()


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
        with pytest.raises(ConflictError, match="unique"):
            Seat.objects.deleted().restore()
        assert Seat.objects.count() == 1
    assert (gone.is_deleted, gone.deleted_at) == (True, deleted_at)
    assert events == []
