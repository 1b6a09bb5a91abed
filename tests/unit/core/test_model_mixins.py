"""The mixins: their fields in any order of inheritance, and what slugs, orders, metadata do."""

from __future__ import annotations

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import BooleanField, CharField, DateTimeField, Model
from django.test.utils import isolate_apps

from core.base_models import BaseModel, DBBaseModel, SoftDeleteModel
from core.managers import AllObjectsManager, SoftDeleteManager
from core.model_mixins import (
    AuditMixin,
    MetadataMixin,
    OrderableMixin,
    SlugMixin,
    SoftDeleteMixin,
    TenantMixin,
    TimestampMixin,
    UUIDPrimaryKeyMixin,
)
from core.rows.bulk import LifecycleManager
from core.rows.lifecycle import LifecycleModel
from tests.sample.models import (
    Contract,
    Customer,
    Draft,
    Invoice,
    Lead,
    Membership,
    Receipt,
    Step,
    UserProfile,
)

STAMPS = {"id", "created_at", "updated_at"}
MARKS = {"is_deleted", "deleted_at"}
AUDIT = {"created_by", "updated_by", "deleted_at"}
REST = {"slug", "order", "metadata", "tenant_id"}
MIXINS = (
    UUIDPrimaryKeyMixin,
    TimestampMixin,
    SoftDeleteMixin,
    AuditMixin,
    TenantMixin,
    SlugMixin,
    OrderableMixin,
    MetadataMixin,
)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (UserProfile, STAMPS | {"email"}),
        (Membership, STAMPS | {"tenant_id"}),
        (Contract, STAMPS | AUDIT | {"title"}),
        (Customer, STAMPS | {"tenant_id", "name"}),
        (Lead, STAMPS | MARKS | {"tenant_id"}),
        (Invoice, STAMPS | MARKS | AUDIT | REST),
        (Receipt, STAMPS | MARKS | AUDIT | REST),
        (Step, {"id"} | AUDIT | REST),
        (Draft, {"id", "title", "parent"} | MARKS),
    ],
)
def test_a_model_has_exactly_the_fields_of_its_parts(
    model: type[Model], expected: set[str]
) -> None:
    """Each part adds its fields, a field that two parts have is there once, and nothing else is."""
    names = [field.name for field in model._meta.concrete_fields]
    assert sorted(names) == sorted(expected)


@isolate_apps("tests.sample")
@pytest.mark.parametrize("base", [BaseModel, DBBaseModel, SoftDeleteModel, models.Model])
def test_any_two_mixins_stand_around_any_base(base: type[Model]) -> None:
    """No order of two mixins and a base is refused, and the fields do not depend on the order."""
    for pair in itertools.combinations(MIXINS, 2):
        parts = (*pair, base) if base is not models.Model else pair
        fields = {
            frozenset(field.name for field in _model(order)._meta.concrete_fields)
            for order in itertools.permutations(parts)
        }
        assert len(fields) == 1, parts


@isolate_apps("tests.sample")
def test_the_order_around_a_lifecycle_model() -> None:
    """An order by which rows would be removed is refused; what is below BaseModel is marked."""

    class Told(LifecycleModel):
        class Meta:
            abstract = True
            app_label = "sample"

    for parents in [(LifecycleModel, SoftDeleteMixin), (Told, SoftDeleteMixin)]:
        with pytest.raises(TypeError, match="must name its parent with soft deletion before"):
            _model(parents)
    for parents in [(Told, BaseModel), (SoftDeleteMixin, Told), (SlugMixin, SoftDeleteMixin, Told)]:
        model = _model(parents)
        assert isinstance(model._default_manager, SoftDeleteManager)
        assert isinstance(model._base_manager, AllObjectsManager)


@isolate_apps("tests.sample")
@pytest.mark.parametrize("mixin", [SlugMixin, TenantMixin, AuditMixin])
def test_changes_through_relations_are_announced_whichever_parent_is_first(
    mixin: type[Model],
) -> None:
    """Django's SET_NULL and the like go through a manager that announces and hides nothing."""
    for parents in [(mixin, LifecycleModel), (LifecycleModel, mixin)]:
        base_manager = _model(parents)._base_manager
        assert isinstance(base_manager, LifecycleManager)
        assert base_manager.name == "all_objects"


def _model(parents: tuple[type[Model], ...]) -> type[Model]:
    name = "".join(parent.__name__ for parent in parents)
    meta = type("Meta", (), {"app_label": "sample"})
    return type(name, parents, {"__module__": __name__, "Meta": meta})


@isolate_apps("tests.sample")
@pytest.mark.parametrize("base", [BaseModel, DBBaseModel])
def test_all_mixins_before_or_after(base: type[Model]) -> None:
    """All mixins at once, before or after a base, give the same columns and hide deleted rows."""
    before, after = _model((*MIXINS, base)), _model((base, *MIXINS))
    assert {f.name for f in before._meta.fields} == {f.name for f in after._meta.fields}
    for model in (before, after):
        assert isinstance(model._default_manager, SoftDeleteManager)
        assert model._base_manager.name == "all_objects"


def test_a_uuid_key_is_there_before_the_row() -> None:
    """A UUID key is a random one, version 4, unique also among those made by many threads."""
    first = UserProfile()
    assert isinstance(first.pk, uuid.UUID)
    assert first.pk.version == 4
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: UserProfile().pk, range(1000)))
    assert len(keys) == 1000


def test_definitions() -> None:
    """The columns are what the mixins promise."""
    slug, order = Step._meta.get_field("slug"), Step._meta.get_field("order")
    assert (slug.max_length, slug.unique, slug.db_index) == (100, True, True)
    assert isinstance(order, models.PositiveIntegerField)
    assert (order.default, order.db_index) == (0, True)
    metadata = Step._meta.get_field("metadata")
    assert isinstance(metadata, models.JSONField)
    assert (metadata.default, metadata.blank) == (dict, True)
    tenant = Customer._meta.get_field("tenant_id")
    assert isinstance(tenant, CharField)
    assert (tenant.max_length, tenant.db_index, tenant.null) == (64, True, False)
    for name in ("created_by", "updated_by"):
        field = Contract._meta.get_field(name)
        assert isinstance(field, CharField)
        assert field.null
    assert isinstance(Draft._meta.get_field("is_deleted"), BooleanField)
    marks = [model._meta.get_field("deleted_at") for model in (Draft, Contract, Invoice)]
    assert [(type(f), f.null, f.blank) for f in marks] == [(DateTimeField, True, True)] * 3


@pytest.mark.django_db
def test_two_rows_never_share_their_metadata() -> None:
    """What is put into the metadata of one row is in no other, saved or not."""
    first, second = Step(slug="a", tenant_id="t"), Step(slug="b", tenant_id="t")
    first.metadata["colour"] = "red"
    assert second.metadata == {}
    Step.objects.bulk_create([first, second])
    assert [step.metadata for step in Step.objects.order_by("slug")] == [{"colour": "red"}, {}]


@pytest.mark.django_db
def test_a_slug_is_taken_once() -> None:
    """The database refuses a second row with a slug, and full_clean() says so before."""
    Step.objects.create(slug="first", tenant_id="t")
    with pytest.raises(ValidationError, match="already exists"):
        Step(slug="first", tenant_id="t").full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        Step.objects.create(slug="first", tenant_id="t")


@pytest.mark.django_db
def test_rows_are_in_their_order() -> None:
    """Rows of an orderable model come by `order`; a negative one is refused."""
    for order in (3, 1, 2):
        Step.objects.create(slug=f"s{order}", order=order, tenant_id="t")
    assert [step.order for step in Step.objects.all()] == [1, 2, 3]
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Step(slug="x", order=-1, tenant_id="t").full_clean()


@isolate_apps("tests.sample")
def test_the_first_parent_with_an_ordering_decides() -> None:
    """`OrderableMixin` wins over BaseModel when it stands first; a mixin without one takes none."""

    class Ordered(SlugMixin, OrderableMixin, BaseModel):
        class Meta(OrderableMixin.Meta):
            app_label = "sample"

    class MixinsAlone(SlugMixin, SoftDeleteMixin, OrderableMixin):
        __module__ = "tests.sample.models"

    class Turned(SlugMixin, OrderableMixin):
        class Meta:
            app_label = "sample"
            ordering = ["-order"]

    class Unordered(SlugMixin, OrderableMixin):
        class Meta:
            app_label = "sample"

    assert MixinsAlone._meta.ordering == ["order"]
    assert MixinsAlone._meta.db_table == "sample_mixinsalone"
    assert Turned._meta.ordering == ["-order"]
    assert Unordered._meta.ordering == []
    assert Ordered._meta.ordering == ["order"]
    assert Receipt._meta.ordering == ["order"]
    assert Invoice._meta.ordering == ["-created_at"]
    assert Lead._meta.ordering == []


@isolate_apps("tests.sample")
def test_a_field_of_a_mixin_can_be_replaced() -> None:
    """A model may define a field of a mixin anew, as with any abstract parent in Django."""

    class Named(SlugMixin, BaseModel):
        slug = models.SlugField(max_length=30)

        class Meta(BaseModel.Meta):
            app_label = "sample"

    field = Named._meta.get_field("slug")
    assert (field.max_length, field.unique) == (30, False)


@pytest.mark.django_db
def test_soft_deletion_with_an_integer_key_and_no_timestamps() -> None:
    """SoftDeleteMixin needs nothing else: `delete()` marks, `delete(soft=False)` removes."""
    draft = Draft.objects.create(title="a")
    assert isinstance(draft.pk, int)
    draft.delete()
    assert (draft.is_deleted, draft.deleted_at is not None) == (True, True)
    assert list(Draft.objects.all()) == []
    assert list(Draft.all_objects.all()) == [draft]
    draft.delete(soft=False)
    assert not Draft.all_objects.exists()


@pytest.mark.django_db
def test_deletion_time_without_soft_deletion_is_the_applications() -> None:
    """On DBBaseModel with AuditMixin `delete()` is Django's and `deleted_at` a plain column."""
    contract = Contract.objects.create()
    assert contract.deleted_at is None
    contract.delete()
    assert not Contract.objects.exists()
