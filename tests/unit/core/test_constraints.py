"""Values that are unique among the rows that are not deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.migrations.state import ModelState
from django.db.migrations.writer import MigrationWriter
from django.db.models import Q
from django.db.models.functions import Lower
from django.forms import modelform_factory

from core.constraints import UniqueActiveConstraint
from tests.sample.models import Document, Folder

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder() -> Folder:
    """A folder with a document "a"."""
    folder = Folder.objects.create(name="f")
    Document.objects.create(folder=folder, title="a")
    return folder


def test_a_deleted_row_blocks_nothing(folder: Folder) -> None:
    """The database refuses a second live row, and takes one beside deleted rows."""
    with pytest.raises(IntegrityError), transaction.atomic():
        Document.objects.create(folder=folder, title="a")
    for _ in range(2):
        Document.objects.get(title="a").delete()
        assert Document.objects.get_or_create(folder=folder, title="a")[1] is True


def test_full_clean_says_what_is_taken(folder: Folder) -> None:
    """`full_clean()` names the fields, for a taken value alone."""
    with pytest.raises(ValidationError, match="Document with this Folder and Title already exists"):
        Document(folder=folder, title="a").full_clean()
    Document.objects.get().full_clean()
    Document.objects.get().delete()
    Document(folder=folder, title="a").full_clean()
    Document.all_objects.get().full_clean()


def test_forms_check_it(folder: Folder) -> None:
    """A form shows the message, although it has no field for the mark of deletion."""
    form_of = modelform_factory(Document, fields=["folder", "title"])
    form = form_of({"folder": folder.pk, "title": "a"})
    assert form.errors == {"__all__": ["Document with this Folder and Title already exists."]}
    Document.objects.get().delete()
    assert form_of({"folder": folder.pk, "title": "a"}).is_valid()


def test_a_message_of_its_own(folder: Folder) -> None:
    """A message or code given by hand wins."""
    constraint = UniqueActiveConstraint(
        fields=["title"], name="n", violation_error_message="taken", violation_error_code="t"
    )
    with pytest.raises(ValidationError, match="taken") as error:
        constraint.validate(Document, Document(folder=folder, title="a"))
    assert error.value.code == "t"


def test_migrations_hold_djangos_constraint() -> None:
    """A migration has the conditional constraint, and the model agrees with it afterwards."""
    (constraint,) = Document._meta.constraints
    django = models.UniqueConstraint(
        fields=["folder", "title"], condition=Q(is_deleted=False), name="sample_document_title"
    )
    assert constraint.deconstruct() == django.deconstruct()
    assert constraint == django == constraint.clone()
    assert ModelState.from_model(Document).options["constraints"] == [django]
    text, _ = MigrationWriter.serialize(constraint)
    assert text.startswith("models.UniqueConstraint(")


def test_conditions_and_expressions(folder: Folder) -> None:
    """A condition narrows it further, expressions are taken, and copies stay the same."""
    constraint = UniqueActiveConstraint(Lower("title"), condition=~Q(title="x"), name="n")
    assert constraint.condition == Q(is_deleted=False) & ~Q(title="x")
    assert constraint.clone() == constraint
    with pytest.raises(ValidationError):
        constraint.validate(Document, Document(folder=folder, title="A"))


@pytest.mark.parametrize(
    "options",
    [{}, {"fields": ["title"], "condition": "no"}, {"fields": ["title"], "deferrable": "x"}],
)
def test_bad_definitions(options: dict[str, Any]) -> None:
    """What makes no constraint is refused when it is defined."""
    with pytest.raises((ValueError, TypeError)):
        UniqueActiveConstraint(name="n", **options)
