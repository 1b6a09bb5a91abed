"""What a model gets from its base, whichever way it is put together."""

from __future__ import annotations

import uuid

import pytest
from django.core import checks
from django.db import models
from django.db.migrations.state import ModelState
from django.test.utils import isolate_apps
from django.utils import timezone

import core
import core.models
from core.base_models import BaseModel, DBBaseModel, SoftDeleteModel, TimeStampedModel
from core.managers import SoftDeleteManager
from core.model_mixins import UUIDMixin, UUIDPrimaryKeyMixin
from core.table_names import snake_case
from tests.sample import models as sample


def field_names(model: type[models.Model]) -> set[str]:
    return {field.name for field in model._meta.concrete_fields}


@pytest.mark.django_db
def test_new_row_has_everything() -> None:
    """A child of BaseModel gets a UUID key before it is saved, timestamps, and is not deleted."""
    shelf = sample.Shelf(label="A")
    assert isinstance(shelf.pk, uuid.UUID)
    shelf.save()
    assert abs(timezone.now() - shelf.created_at).total_seconds() < 60
    assert shelf.is_deleted is False
    assert shelf.deleted_at is None


def test_base_model_is_the_union() -> None:
    """BaseModel is abstract, timestamped and soft-deletable; its newest rows come first."""
    assert issubclass(BaseModel, DBBaseModel)
    assert issubclass(BaseModel, TimeStampedModel)
    assert issubclass(BaseModel, SoftDeleteModel)
    assert BaseModel._meta.abstract
    assert sample.Shelf._meta.ordering == ["-created_at"]
    assert isinstance(sample.Shelf.objects, SoftDeleteManager)
    for name in ("created_at", "updated_at", "is_deleted"):
        assert sample.Shelf._meta.get_field(name).db_index


def test_db_base_model_is_lean() -> None:
    """DBBaseModel has a UUID key and timestamps, and nothing else."""
    assert field_names(sample.PlainHTTPRecord) == {"id", "created_at", "updated_at"}


@pytest.mark.parametrize("model", [sample.MixinsFirst, sample.MixinsLast])
def test_mixins_combine_in_either_order(model: type[models.Model]) -> None:
    """Mixins before or after the base model give the same fields and the same manager."""
    assert field_names(model) == field_names(BaseModel)
    assert isinstance(model._default_manager, SoftDeleteManager)
    assert model._base_manager.name == "all_objects"


def test_sample_models_pass_djangos_checks() -> None:
    """Django's own checks find nothing wrong with any of these combinations."""
    config = sample.Shelf._meta.app_config
    assert checks.run_checks(app_configs=[config]) == []


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (sample.Shelf, "shelf"),
        (sample.PlainHTTPRecord, "plain_http_record"),
        (sample.LoginLog, "user_login_log"),
        (sample.MixinsLast, "mixins_at_the_end"),
        (sample.Paperback, "book"),
        (sample.Novel, "novel"),
        (sample.Stamped, "sample_stamped"),
        (sample.Draft, "sample_draft"),
    ],
)
def test_table_names(model: type[models.Model], table: str) -> None:
    """Base models name the table after the class, an explicit name wins, others keep Django's."""
    assert model._meta.db_table == table


def test_table_name_reaches_migrations() -> None:
    """The generated table name stands in the migration state, without a base of our own."""
    state = ModelState.from_model(sample.Shelf)
    assert state.options["db_table"] == "shelf"
    assert state.bases == (models.Model,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UserProfile", "user_profile"),
        ("HTTPServerLog", "http_server_log"),
        ("Oauth2Token", "oauth2_token"),
        ("A", "a"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    """Words and abbreviations are told apart by their capitals."""
    assert snake_case(name) == expected


@isolate_apps("tests.sample")
def test_own_meta_without_the_base_loses_only_the_ordering() -> None:
    """A child with a Meta of its own keeps the table name and the managers."""

    class Loner(BaseModel):
        class Meta:
            app_label = "sample"
            verbose_name = "hermit"

    assert Loner._meta.db_table == "loner"
    assert Loner._meta.verbose_name == "hermit"
    assert Loner._meta.ordering == []
    assert Loner._base_manager.name == "all_objects"


@pytest.mark.django_db
@pytest.mark.parametrize("model", [sample.Shelf, sample.Stamped])
def test_saving_moves_updated_at(model: type[models.Model]) -> None:
    """Each save refreshes `updated_at` in the database, also with `update_fields` or deferred."""
    name = "label" if model is sample.Shelf else "name"
    row = model._default_manager.create(**{name: "a"})
    stamps = [row.updated_at]
    row.save()
    stamps.append(model._default_manager.get(pk=row.pk).updated_at)
    row.save(update_fields=[name])
    stamps.append(model._default_manager.get(pk=row.pk).updated_at)
    model._default_manager.only(name).get(pk=row.pk).save()
    stamps.append(model._default_manager.get(pk=row.pk).updated_at)
    assert stamps == sorted(set(stamps))
    assert model._default_manager.get(pk=row.pk).created_at == row.created_at


@pytest.mark.django_db
def test_no_fields_is_no_save() -> None:
    """`update_fields=[]` writes nothing, as in Django."""
    shelf = sample.Shelf.objects.create(label="A")
    before = shelf.updated_at
    shelf.save(update_fields=[])
    assert sample.Shelf.objects.get().updated_at == before


def test_names_that_the_root_offers() -> None:
    """`from core import X` and `from core.models import X` give the same objects."""
    assert core.BaseModel is core.models.BaseModel is BaseModel
    assert core.UUIDMixin is UUIDMixin is UUIDPrimaryKeyMixin
