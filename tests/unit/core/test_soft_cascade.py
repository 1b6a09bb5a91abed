"""What refers to a soft-deleted row goes with it and comes back with it, as `on_delete` says."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import ProtectedError, RestrictedError
from django.test.utils import CaptureQueriesContext

from core.events import capture_events
from core.exceptions import ConflictError
from tests.sample.models import (
    Attachment,
    Book,
    Deed,
    Document,
    Folder,
    Reading,
    Remark,
    Shelf,
    Shortcut,
    Signature,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder() -> Folder:
    """A folder with a folder in it, a document in each, and a remark on each document."""
    folder = Folder.objects.create(name="outer", code="O")
    inner = Folder.objects.create(name="inner", parent=folder)
    for place in (folder, inner):
        document = Document.objects.create(folder=place, title=f"in {place}")
        Remark.objects.create(document=document)
    return folder


def live() -> dict[str, int]:
    """Return how many rows are not deleted, by model."""
    return {model.__name__: model.objects.count() for model in (Folder, Document, Remark)}


NONE = {"Folder": 0, "Document": 0, "Remark": 0}
ALL = {"Folder": 2, "Document": 2, "Remark": 2}


def test_all_levels_go_and_come_back(folder: Folder) -> None:
    """One deletion marks all levels at one time and returns their counts; restoring undoes it."""
    counts = {"sample.Folder": 2, "sample.Document": 2, "sample.Remark": 2}
    assert folder.delete() == (6, counts)
    assert live() == NONE
    for model in (Folder, Document, Remark):
        assert {row.deleted_at for row in model.all_objects.all()} == {folder.deleted_at}
    assert folder.delete() == (0, {})
    assert folder.restore() is True
    assert live() == ALL


def test_querysets_do_the_same(folder: Folder) -> None:
    """On a queryset, `delete()` counts all that went; `restore()` the rows of the queryset."""
    counts = {"sample.Folder": 2, "sample.Document": 2, "sample.Remark": 2}
    assert Folder.objects.filter(name="outer").delete() == (6, counts)
    assert live() == NONE
    assert Folder.objects.deleted().filter(name="outer").restore() == 1
    assert live() == ALL


def test_only_what_went_with_it_comes_back(folder: Folder) -> None:
    """What had been deleted before stays deleted, and so does what was deleted again later."""
    earlier = Document.objects.get(folder=folder)
    earlier.delete()
    folder.delete()
    later = Folder.all_objects.get(name="inner")
    later.restore()
    later.delete()
    folder.restore()
    assert list(Folder.objects.all()) == [folder]
    assert list(Document.objects.deleted().order_by("deleted_at")) == [
        earlier,
        Document.all_objects.get(folder=later),
    ]


def test_a_part_can_come_back_alone(folder: Folder) -> None:
    """Restoring a row in the middle brings back what is below it, and leaves what is above."""
    folder.delete()
    inner = Folder.all_objects.get(name="inner")
    assert inner.restore() is True
    assert Folder.objects.get() == inner
    assert Document.objects.get().folder == inner
    assert inner.parent == folder


def test_separate_deletions_come_back_at_once(folder: Folder) -> None:
    """A queryset of rows deleted at different times brings back what went with each."""
    inner = Folder.objects.get(name="inner")
    inner.delete()
    folder.delete()
    assert folder.deleted_at != inner.deleted_at
    assert Folder.objects.deleted().restore() == 2
    assert live() == ALL


def test_circles(folder: Folder) -> None:
    """References in a circle end where they began."""
    folder.cover = Document.objects.get(folder=folder)
    folder.parent = Folder.objects.get(name="inner")
    folder.save()
    assert folder.delete()[0] == 6
    assert folder.restore() is True
    assert live() == ALL
    assert Folder.objects.all().delete()[0] == 6


def test_models_that_do_not_ask_for_it() -> None:
    """Without `soft_delete_cascade` nothing goes with a row."""
    shelf = Shelf.objects.create(label="A")
    Book.objects.create(title="b", shelf=shelf)
    assert shelf.delete() == (1, {"sample.Shelf": 1})
    assert Book.objects.count() == 1


def test_rows_that_cannot_be_marked(folder: Folder) -> None:
    """Rows of a model without soft deletion stay as they are, and still reach what was marked."""
    attachment = Attachment.objects.create(document=Document.objects.get(folder=folder))
    folder.delete()
    attachment.refresh_from_db()
    assert attachment.document.is_deleted


def test_other_keys_and_other_tables(folder: Folder) -> None:
    """References by another value than the key, and to a child model's table, are followed."""
    Shortcut.objects.create(folder=folder)
    signature = Signature.objects.create(deed=Deed.objects.create(folder=folder, title="d"))
    _, counts = folder.delete()
    assert (counts["sample.Shortcut"], counts["sample.Signature"]) == (1, 1)
    assert Deed.objects.count() == 0
    assert folder.restore()
    assert Shortcut.objects.count() == Deed.objects.count() == Signature.objects.count() == 1
    assert signature.deed.folder == folder


@pytest.mark.parametrize("many", [False, True])
def test_protected_rows(folder: Folder, many: bool) -> None:
    """PROTECT refuses with Django's error that has the rows; nothing changed, nothing is told."""
    reading = Reading.objects.create(protects=Folder.objects.get(name="inner"))
    rows: Any = Folder.objects.filter(pk=folder.pk) if many else folder
    with (
        capture_events() as events,
        pytest.raises(ProtectedError, match=r"'Reading.protects'") as e,
    ):
        rows.delete()
    assert e.value.protected_objects == {reading}
    assert (live(), events) == (ALL, [])
    assert (folder.is_deleted, folder.deleted_at) == (False, None)
    reading.delete()
    assert rows.delete()[0] == 6


def test_protected_by_what_would_go_as_well(folder: Folder) -> None:
    """As in Django, PROTECT refuses even for a row that another way would take along."""
    Reading.objects.create(protects=Folder.objects.get(name="inner"), goes_along=folder)
    with pytest.raises(ProtectedError):
        folder.delete()


def test_restricted_rows(folder: Folder) -> None:
    """RESTRICT refuses with Django's error, unless the row goes along by another way."""
    reading = Reading.objects.create(restricts=Document.objects.get(title="in inner"))
    with pytest.raises(RestrictedError, match=r"'Reading.restricts'") as error:
        folder.delete()
    assert error.value.restricted_objects == {reading}
    assert live() == ALL
    reading.goes_along = folder
    reading.save()
    assert folder.delete()[1]["sample.Reading"] == 1


def test_references_that_let_go(folder: Folder) -> None:
    """SET_NULL leaves the reference: the row it leads to is still there."""
    reading = Reading.objects.create(lets_go=folder)
    folder.delete()
    reading.refresh_from_db()
    assert reading.lets_go == folder


def test_events_of_all_levels(folder: Folder) -> None:
    """Each model tells which of its rows went and came back; a row never goes twice."""
    keys = {str(document.pk) for document in Document.objects.all()}
    with capture_events() as events:
        folder.delete()
        folder.restore()
    named = [(event.name, event.sender) for event in events]
    assert sorted(named[:3]) == [
        ("model.soft_deleted", "sample.document"),
        ("model.soft_deleted", "sample.folder"),
        ("model.soft_deleted", "sample.folder"),
    ]
    assert [name for name, _ in named[3:]] == ["model.restored"] * 3
    for event in events:
        if event.sender == "sample.document":
            assert set(event.data["pks"]) == keys


def test_conflict_below(folder: Folder) -> None:
    """If a row that went along cannot come back, nothing does, and the transaction goes on."""
    folder.delete()
    Document.objects.create(folder=folder, title="in outer")
    with pytest.raises(ConflictError, match="unique"):
        folder.restore()
    assert (folder.is_deleted, folder.deleted_at is None) == (True, False)
    with pytest.raises(ConflictError, match="unique"):
        Folder.objects.deleted().restore()
    assert live() == {"Folder": 0, "Document": 1, "Remark": 0}


def test_statements_do_not_grow_with_rows(folder: Folder) -> None:
    """A level costs the same number of statements however many rows it has."""

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries, capture_events():
            folder.delete()
            folder.restore()
        return len(queries)

    few = cost()
    made = [Document(folder=folder, title=str(n)) for n in range(50)]
    Document.objects.bulk_create(made)
    Remark.objects.bulk_create([Remark(document=document) for document in made])
    assert cost() == few
