"""Deleted rows and what Django does by itself: dumps, the models of migrations, forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.core.management import call_command
from django.db.migrations.state import ModelState, ProjectState

from tests.sample.models import Book, Shelf

pytestmark = pytest.mark.django_db


def dump(path: Path, **options: Any) -> list[str]:
    call_command("dumpdata", "sample.shelf", output=str(path), **options)
    return sorted(row["fields"]["label"] for row in json.loads(path.read_text()))


def test_dumps(tmp_path: Path) -> None:
    """`dumpdata` leaves deleted rows out, with `--all` it has them, and they come back deleted."""
    Shelf.objects.create(label="gone").delete()
    Shelf.objects.create(label="live")
    assert dump(tmp_path / "some.json") == ["live"]
    assert dump(tmp_path / "all.json", all=True) == ["gone", "live"]
    Shelf.all_objects.all().hard_delete()
    call_command("loaddata", str(tmp_path / "all.json"), verbosity=0)
    assert Shelf.objects.get().label == "live"
    assert Shelf.objects.deleted().get().label == "gone"


def test_the_model_of_a_migration() -> None:
    """It is a plain one: it sees deleted rows, and its `delete()` removes."""
    Shelf.objects.create(label="gone").delete()
    project = ProjectState()
    project.add_model(ModelState.from_model(Shelf))
    shelves = project.apps.get_model("sample", "Shelf").objects
    assert shelves.count() == 1
    shelves.all().delete()
    assert not Shelf.all_objects.exists()


def test_forms() -> None:
    """A form offers live rows, unless its field's queryset shows deleted ones."""
    shelf = Shelf.objects.create(label="gone")
    book = Book.objects.create(title="old", shelf=shelf)
    shelf.delete()
    plain = forms.modelform_factory(Book, fields=["title", "shelf"])

    class Lenient(plain):  # type: ignore[misc, valid-type]  # made at run time
        shelf = forms.ModelChoiceField(Shelf.objects.with_deleted())

    data = {"title": "new", "shelf": shelf.pk}
    assert set(plain(data, instance=book).errors) == {"shelf"}
    form = Lenient(data, instance=Book.objects.get())
    assert form.is_valid()
    assert form.save().shelf == shelf
