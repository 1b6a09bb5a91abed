"""What a model gets from its base, whichever way it is put together."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import pytest
from django.core import checks
from django.core.checks.model_checks import check_all_models
from django.db import models
from django.db.migrations.state import ModelState
from django.test.utils import isolate_apps
from django.utils import timezone

import core
import core.base_models
import core.models
from core.base_models import BaseModel, DBBaseModel, SoftDeleteModel, TimeStampedModel
from core.managers import SoftDeleteManager
from core.model_mixins import TableNamingMixin, UUIDMixin, UUIDPrimaryKeyMixin
from core.parts.table_names import snake_case
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
        (sample.UserProfile, "user_profile"),
        (sample.Step, "sample_step"),
        (sample.Trial, "trial"),
        (core.models.PlatformFeeConfig, "platform_fee_config"),
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
        ("UserProfile2", "user_profile2"),
        ("HTTP2Stream", "http2_stream"),
        ("Model3D", "model3_d"),
        ("already_snake", "already_snake"),
        ("ÜberTicket", "über_ticket"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    """Words and abbreviations are told apart by their capitals."""
    assert snake_case(name) == expected


@isolate_apps("tests.sample")
def test_the_most_particular_table_name_wins() -> None:
    """`Meta.db_table` of the class, then its `__tablename__`, then what its `Meta` inherits."""

    class Parent(DBBaseModel):
        __tablename__ = "ignored"

        class Meta:
            app_label = "sample"
            abstract = True
            db_table = "from_the_parent"

    class Inherits(Parent):
        class Meta(Parent.Meta):
            pass

    class Names(Parent):
        __tablename__ = "custom_table_name"

    class NamesBoth(DBBaseModel):
        __tablename__ = "overruled"

        class Meta:
            app_label = "sample"
            db_table = "stated"

    class ByMixin(TimeStampedModel, TableNamingMixin):
        class Meta:
            app_label = "sample"

    tables = [model._meta.db_table for model in (Inherits, Names, NamesBoth, ByMixin)]
    assert tables == ["from_the_parent", "custom_table_name", "stated", "by_mixin"]
    assert ModelState.from_model(Names).options["db_table"] == "custom_table_name"


@isolate_apps("tests.sample")
@pytest.mark.parametrize("bad", ["", 5, b"users", ["users"]])
def test_a_table_name_that_is_none(bad: object) -> None:
    """A `__tablename__` that is no text is a TypeError that names the class and the value."""
    attrs = {"__module__": __name__, "__tablename__": bad}
    with pytest.raises(TypeError, match=r"Bad\.__tablename__ must be the name of a table, not"):
        type("Bad", (DBBaseModel,), attrs)


@isolate_apps("tests.sample", "core")
def test_two_apps_with_one_class_name() -> None:
    """Django's check reports two apps whose models would share a table."""

    def twin(label: str) -> type[models.Model]:
        meta = type("Meta", (), {"app_label": label})
        return type("Twin", (DBBaseModel,), {"__module__": __name__, "Meta": meta})

    registry = twin("core")._meta.apps
    twin("sample")
    found = check_all_models(registry.get_app_configs())
    assert [error.id for error in found if error.obj == "twin"] == ["models.E028"]


@isolate_apps("tests.sample")
def test_own_ordering_of_a_child_with_a_table_of_its_own() -> None:
    """A child of a concrete model is sorted as its parent, unless it says else."""

    class Paper(BaseModel):
        title = models.CharField(max_length=10)

        class Meta(BaseModel.Meta):
            app_label = "sample"
            ordering = ["title"]

    class Letter(Paper):
        __module__ = "tests.sample.models"

    assert Letter._meta.ordering == ["title"]
    assert (Paper._meta.db_table, Letter._meta.db_table) == ("paper", "letter")


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
@pytest.mark.filterwarnings("ignore:Passing positional arguments to save")
def test_arguments_by_position() -> None:
    """`updated_at` is refreshed also where the fields to save are given by position."""
    shelf = sample.Shelf.objects.create(label="A")
    before = shelf.updated_at
    shelf.label = "B"
    shelf.save(False, False, None, ["label"])
    stored = sample.Shelf.objects.get()
    assert (stored.label, stored.updated_at > before) == ("B", True)


@pytest.mark.django_db
def test_bulk_operations_write_what_they_are_given() -> None:
    """`bulk_create` sets both stamps; `update` and `bulk_update` move only what they name."""
    [row] = sample.Stamped.objects.bulk_create([sample.Stamped(name="a")])
    assert (row.created_at, row.updated_at) != (None, None)
    row.name = "b"
    sample.Stamped.objects.bulk_update([row], ["name"])
    sample.Stamped.objects.update(name="c")
    assert sample.Stamped.objects.get().updated_at == row.updated_at
    row.updated_at = timezone.now()
    sample.Stamped.objects.bulk_update([row], ["name", "updated_at"])
    assert sample.Stamped.objects.get().updated_at == row.updated_at


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [["nonsense"], "label", [None], ["pk"]])
def test_unknown_fields_are_refused(fields: Any) -> None:
    """A field that is not there is Django's ValueError, and nothing is written."""
    shelf = sample.Shelf.objects.create(label="A")
    before = shelf.updated_at
    with pytest.raises((ValueError, TypeError)):
        shelf.save(update_fields=fields)
    assert sample.Shelf.objects.get().updated_at == before


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


def test_pydantics_base_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PydanticBaseModel` is pydantic's; without pydantic, only reading it is an ImportError."""
    pydantic = pytest.importorskip("pydantic")
    assert core.PydanticBaseModel is core.base_models.PydanticBaseModel is pydantic.BaseModel
    monkeypatch.delitem(sys.modules, "core.pydantic_models")
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ImportError, match="not installed: pip install pydantic"):
        _ = core.PydanticBaseModel
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = core.base_models.Nonsense
