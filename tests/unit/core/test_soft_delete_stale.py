"""An instance that does not know what became of its row does not undo it by being saved."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from core.events import Event, capture_events
from tests.sample.models import Book, Draft, Folder, Novel

pytestmark = pytest.mark.django_db


@pytest.fixture
def events() -> Iterator[list[Event]]:
    with capture_events() as captured:
        yield captured


@pytest.mark.parametrize("model", [Book, Draft, Novel])
def test_a_row_that_somebody_deleted_stays_deleted(model: Any) -> None:
    """A plain save stores what was changed, in a row that somebody else deleted meanwhile."""
    behind = model.objects.get(pk=model.objects.create(title="a").pk)
    model.objects.get().delete()
    behind.title = "b"
    behind.save()
    row = model.all_objects.get()
    assert (row.title, row.is_deleted) == ("b", True)
    assert row.deleted_at is not None
    assert not model.objects.exists()


@pytest.mark.parametrize("model", [Book, Draft, Novel])
def test_a_row_that_somebody_restored_stays_restored(model: Any) -> None:
    """The same the other way round."""
    model.objects.create(title="a").delete()
    behind = model.all_objects.get()
    model.all_objects.get().restore()
    behind.save()
    row = model.objects.get()
    assert (row.is_deleted, row.deleted_at) == (False, None)


def test_what_went_along_stays_together() -> None:
    """Whoever saves the top of what was deleted together does not part it from the rest."""
    behind = Folder.objects.get(pk=Folder.objects.create(name="a").pk)
    Folder.objects.create(name="child", parent=behind)
    Folder.objects.get(name="a").delete()
    behind.save()
    assert not Folder.objects.exists()
    assert Folder.all_objects.get(name="a").restore() is True
    assert Folder.objects.count() == 2


def test_only_what_was_stored_is_announced(events: list[Event]) -> None:
    """No event says that a row came back, whether old values are known or looked up."""
    behind = Book.objects.get(pk=Book.objects.create(title="a").pk)
    Book.objects.get().delete()
    del events[:]
    for title in ("b", "c"):
        behind.title = title
        behind.save()
    assert [(e.name, e.data["changes"]) for e in events] == [
        ("model.updated", {"title": ["a", "b"]}),
        ("model.updated", {"title": ["b", "c"]}),
    ]


def test_marks_that_are_set_by_hand_are_stored(events: list[Event]) -> None:
    """A mark that the instance was given is written and announced."""
    Book.objects.create(title="a")
    book = Book.objects.get()
    book.is_deleted, book.deleted_at = True, timezone.now()
    book.save()
    assert Book.all_objects.get().deleted_at == book.deleted_at
    book.is_deleted, book.deleted_at = False, None
    book.save()
    assert Book.objects.get() == book
    assert [e.name for e in events[1:]] == ["model.soft_deleted", "model.restored"]


def test_a_mark_of_one_field_is_enough() -> None:
    """If one of the two was set by hand, both are written, so that they agree."""
    Draft.objects.create(title="a")
    draft = Draft.objects.get()
    Draft.objects.get().delete()
    draft.deleted_at = timezone.now()
    draft.save()
    row = Draft.all_objects.get()
    assert (row.is_deleted, row.deleted_at) == (False, draft.deleted_at)


def test_saved_under_another_key() -> None:
    """What is known of one row says nothing about the row whose key the instance is given."""
    gone = Draft.objects.create(title="gone")
    gone.delete()
    Draft.objects.create(title="live")
    live = Draft.objects.get()
    live.pk = gone.pk
    live.save()
    assert {row.title for row in Draft.objects.all()} == {"live"}
    assert Draft.objects.count() == 2


def test_marks_that_are_not_loaded() -> None:
    """A deferred mark stays as it is; looked at later, it counts as loaded then."""
    Book.objects.create(title="a")
    behind = Book.objects.only("title").get()
    Book.objects.get().delete()
    behind.save()
    assert not Book.objects.exists()
    assert behind.is_deleted
    behind.save()
    assert not Book.objects.exists()


def test_a_row_that_is_gone_is_stored_anew() -> None:
    """A plain save of a removed row inserts it, with its marks, as Django does."""
    Draft.objects.create(title="a")
    draft = Draft.objects.get()
    Draft.objects.get().hard_delete()
    draft.save()
    assert Draft.objects.get() == draft


@pytest.mark.django_db(transaction=True, available_apps=["core.events", "tests.sample"])
class TestCommitted:
    """With transactions that end."""

    @pytest.mark.parametrize("model", [Book, Draft])
    @pytest.mark.parametrize("copied", [False, True])
    def test_the_instance_that_made_the_row(self, model: Any, copied: bool) -> None:
        """Whoever made a row is behind like any other, pickled or not."""
        maker = model.objects.create(title="a")
        maker = pickle.loads(pickle.dumps(maker)) if copied else maker
        model.objects.get().delete()
        maker.save()
        assert not model.objects.exists()

    def test_the_instance_that_restored_the_row(self) -> None:
        """So is whoever deleted or restored it."""
        book = Book.objects.create(title="a")
        book.delete()
        book.restore()
        Book.objects.get().delete()
        book.save()
        assert not Book.objects.exists()

    def test_marks_that_were_rolled_back(self) -> None:
        """Marks set by hand in a transaction that failed are written when it is tried again."""
        Draft.objects.create(title="a")
        draft = Draft.objects.get()
        draft.is_deleted, draft.deleted_at = True, timezone.now()
        with transaction.atomic():
            draft.save()
            transaction.set_rollback(True)
        assert Draft.objects.exists()
        draft.save()
        assert not Draft.objects.exists()
