"""Rows of tenants: filled in, found, and never moved by accident."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import models, transaction
from django.test.utils import isolate_apps

from core import TenantBaseModel, TenantMixin
from core.base_models import BaseModel
from core.context import event_context
from core.events import capture_events
from core.exceptions import TenantError
from core.managers import SoftDeleteManager
from core.model_mixins import SoftDeleteMixin
from core.rows.bulk import LifecycleQuerySet
from core.rows.lifecycle import LifecycleModel
from core.tenancy import TenantManager
from tests.sample.models import Bid, Customer, Invoice, Lead, Membership, Receipt, Step, Trial

pytestmark = pytest.mark.django_db


def test_a_new_row_is_the_current_tenants() -> None:
    """A row is the current tenant's unless it names another one."""
    with event_context(tenant="tenant-123"):
        assert Customer.objects.create().tenant_id == "tenant-123"
        assert Customer.objects.create(tenant_id="tenant-9").tenant_id == "tenant-9"
        many = Customer.objects.bulk_create([Customer(), Customer(tenant_id="tenant-9")])
        found, made = Customer.objects.get_or_create(name="x")
    assert [row.tenant_id for row in many] == ["tenant-123", "tenant-9"]
    assert (made, found.tenant_id) == (True, "tenant-123")
    assert Customer.objects.filter(tenant_id="tenant-9").count() == 2


def test_full_clean_fills_it_in() -> None:
    """A new row has its tenant when it is validated, so that unique values can tell."""
    with event_context(tenant="t"):
        customer = Customer(name="x")
        customer.full_clean()
    assert customer.tenant_id == "t"


def test_nobodys_row_is_refused() -> None:
    """A row without a tenant is a TenantError that says what to do, one by one and in bulk."""
    for write in (
        lambda: Customer.objects.create(),
        lambda: Customer.objects.bulk_create([Customer()]),
        lambda: Step.objects.create(slug="s"),
    ):
        with (
            pytest.raises(TenantError, match="needs a tenant_id: give one, or make"),
            transaction.atomic(),
        ):
            write()
    assert not Customer.objects.exists()


@pytest.mark.parametrize("bad", ["x" * 65, "a\x00b", "  ", True, 1.5, ["a"]])
def test_what_is_no_tenant_is_refused(bad: Any) -> None:
    """What cannot be a tenant's id is a TenantError that names it, and nothing is written."""
    with pytest.raises(TenantError, match="tenant_id must be"), transaction.atomic():
        Customer.objects.create(tenant_id=bad)
    with pytest.raises(TenantError, match="tenant_id must be"), transaction.atomic():
        Customer.objects.update(tenant_id=bad)
    with pytest.raises(TenantError), transaction.atomic():
        Customer.objects.for_tenant(bad)
    assert not Customer.objects.exists()


def test_emptied_rows_are_refused() -> None:
    """A stored row cannot lose its tenant, neither by `save()` nor by `update()`."""
    customer = Customer.objects.create(tenant_id="a")
    for empty in ("", None):
        customer.tenant_id = empty
        with pytest.raises(TenantError, match="needs a tenant_id"), transaction.atomic():
            customer.save()
        with pytest.raises(TenantError, match="needs a tenant_id"), transaction.atomic():
            Customer.objects.update(tenant_id=empty)
    assert Customer.objects.get().tenant_id == "a"


@pytest.mark.parametrize("given", [7, uuid.UUID(int=7)])
def test_ids_of_every_kind_are_kept_as_text(given: Any) -> None:
    """Numbers and UUIDs become text, on the row and in the database."""
    customer = Customer.objects.create(tenant_id=given)
    assert customer.tenant_id == str(given)
    customer.save()
    assert Customer.objects.for_tenant(given).get().tenant_id == str(given)
    assert Customer.objects.filter(tenant_id=given).exists()


def test_the_tenant_may_be_an_instance() -> None:
    """A saved model instance stands for its key."""
    owner = Customer.objects.create(tenant_id="a")
    customer = Customer.objects.create(tenant_id=owner)
    assert customer.tenant_id == str(owner.pk)
    assert Customer.objects.filter(tenant_id=owner).get() == customer


def test_a_row_is_moved_only_explicitly() -> None:
    """A plain save that would move a row is refused; naming the field moves it."""
    customer = Customer.objects.create(tenant_id="a")
    for row in (customer, Customer.objects.get()):
        row.tenant_id = "b"
        with (
            pytest.raises(TenantError, match="belongs to the tenant 'a'; to move it to 'b', say"),
            transaction.atomic(),
        ):
            row.save()
    assert Customer.objects.get().tenant_id == "a"
    customer.save(update_fields=["tenant_id"])
    customer.save()
    assert Customer.objects.get().tenant_id == "b"
    Customer.objects.update(tenant_id="c")
    assert Customer.objects.get().tenant_id == "c"
    customer.refresh_from_db()
    customer.save()
    assert customer.tenant_id == "c"


def test_other_fields_do_not_move_a_row() -> None:
    """Saving other fields leaves the stored tenant, and does not make a later save accept it."""
    customer = Customer.objects.create(tenant_id="a")
    customer.tenant_id = "b"
    customer.save(update_fields=["name"])
    assert Customer.objects.get().tenant_id == "a"
    with pytest.raises(TenantError), transaction.atomic():
        customer.save()


def test_rows_that_were_not_loaded_are_not_moved_either() -> None:
    """A row built by hand over a stored one, or loaded without its tenant, is told by a look."""
    step = Step.objects.create(slug="s", tenant_id="a")
    with pytest.raises(TenantError, match="belongs to the tenant 'a'"), transaction.atomic():
        Step(pk=step.pk, slug="s", tenant_id="b").save()
    deferred = Step.objects.only("slug").get()
    deferred.save()
    deferred.tenant_id = "b"
    with pytest.raises(TenantError, match="belongs to the tenant 'a'"), transaction.atomic():
        deferred.save()
    Step(pk=step.pk + 1, slug="t", tenant_id="b").save()
    assert Step.objects.count() == 2


def test_a_row_under_another_key_is_told_by_a_look() -> None:
    """A loaded row that is given the key of another tenant's row does not take that one over."""
    mine, theirs = (Step.objects.create(slug=name, tenant_id=name) for name in ("a", "b"))
    row = Step.objects.get(pk=mine.pk)
    row.pk = theirs.pk
    with pytest.raises(TenantError, match="belongs to the tenant 'b'"), transaction.atomic():
        row.save()
    assert Step.objects.get(pk=theirs.pk).tenant_id == "b"
    row.pk = theirs.pk + 1
    row.slug = "copy"
    row.save()
    assert Step.objects.get(slug="copy").tenant_id == "a"


def test_a_row_that_was_moved_with_others_stays_moved() -> None:
    """`bulk_update` says that it is meant as well; a plain save afterwards is none."""
    Customer.objects.create(tenant_id="a")
    customer = Customer.objects.get()
    customer.tenant_id = "b"
    Customer.objects.bulk_update([customer], ["tenant_id"])
    customer.save()
    assert Customer.objects.get().tenant_id == "b"


@pytest.mark.parametrize("model", [Invoice, Step])
def test_a_row_that_somebody_has_moved_is_not_brought_back(model: Any) -> None:
    """Who loaded it before saves the other fields only."""
    model.objects.create(tenant_id="a")
    row = model.objects.get()
    model.objects.update(tenant_id="b")
    row.metadata = {"n": 1}
    row.save()
    row.save()
    assert model.objects.values_list("tenant_id", "metadata").get() == ("b", {"n": 1})


def test_a_plain_save_looks_nowhere(django_assert_num_queries: Any) -> None:
    """Of a row that was loaded it is known whose it is."""
    step = Step.objects.create(slug="s", tenant_id="a")
    for row in (step, Step.objects.get()):
        with django_assert_num_queries(1):
            row.save()


def test_a_move_that_is_rolled_back_is_none() -> None:
    """The row is where it was, and a plain save does not make up for it."""
    customer = Customer.objects.create(tenant_id="a")
    with transaction.atomic():
        customer.tenant_id = "b"
        customer.save(update_fields=["tenant_id"])
        customer.save()
        transaction.set_rollback(True)
    with pytest.raises(TenantError, match="belongs to the tenant 'a'"), transaction.atomic():
        customer.save()
    assert Customer.objects.get().tenant_id == "a"


def test_the_context_does_not_touch_stored_rows() -> None:
    """Saving a row while another tenant is current leaves it where it is."""
    customer = Customer.objects.create(tenant_id="a")
    with event_context(tenant="b"):
        Customer.objects.get().save()
        customer.save()
    assert Customer.objects.get().tenant_id == "a"


def test_a_child_with_a_table_of_its_own() -> None:
    """A row spread over two tables has one tenant, which is filled in and kept alike."""
    with event_context(tenant="a"):
        trial = Trial.objects.create()
    assert Trial.objects.for_tenant("a").get() == trial
    trial.tenant_id = "b"
    with pytest.raises(TenantError), transaction.atomic():
        trial.save()


@pytest.mark.parametrize("model", [Customer, Membership, Receipt, Lead, Step, Bid, Invoice, Trial])
def test_for_tenant(model: Any) -> None:
    """`for_tenant()` finds the rows of one tenant, by default those of the current one."""
    slug = {"slug": "a"} if hasattr(model, "slug") else {}
    mine = model.objects.create(tenant_id="a", **slug)
    model.objects.create(tenant_id="b", **({"slug": "b"} if slug else {}))
    assert model.objects.for_tenant("a").get() == mine
    assert model.objects.filter(pk=mine.pk).for_tenant("b").count() == 0
    with event_context(tenant="a"):
        assert model.objects.for_tenant().get() == mine
    with pytest.raises(TenantError, match="no current tenant"), transaction.atomic():
        model.objects.for_tenant()


@pytest.mark.parametrize("model", [Invoice, Receipt, Lead])
def test_deleted_rows_stay_hidden(model: Any) -> None:
    """Whichever parent comes first, deleted rows of a tenant are hidden until asked for."""
    slug = {"slug": "a"} if hasattr(model, "slug") else {}
    row = model.objects.create(tenant_id="a", **slug)
    model.objects.for_tenant("a").delete()
    assert not model.objects.exists()
    assert model.objects.for_tenant("a").with_deleted().get() == row
    assert model.objects.deleted().for_tenant("a").get() == row


def test_changes_of_tenants_rows_are_announced() -> None:
    """A bulk change of a model with life cycle signals is announced, though the mixin is first."""
    Bid.objects.create(tenant_id="a")
    with capture_events() as events:
        Bid.objects.for_tenant("a").update(amount=3)
    assert [event.name for event in events] == ["model.updated"]


@isolate_apps("tests.sample")
def test_the_manager_does_not_depend_on_the_order() -> None:
    """Soft deletion and life cycle signals keep their manager's work, before or after the tenant;
    a manager that the model defines itself stays."""

    class People(models.Manager["Own"]):
        pass

    class Own(TenantBaseModel):
        objects = People()

        class Meta:
            app_label = "sample"

    class Heir(Own):
        class Meta:
            app_label = "sample"

    class Before(TenantBaseModel, BaseModel):
        class Meta:
            app_label = "sample"

    class After(BaseModel, TenantBaseModel):
        class Meta:
            app_label = "sample"

    class Announced(LifecycleModel, TenantMixin):
        class Meta(LifecycleModel.Meta):
            app_label = "sample"

    class Marked(TenantMixin, SoftDeleteMixin):
        class Meta(SoftDeleteMixin.Meta):
            app_label = "sample"

    assert type(Own.objects) is type(Heir.objects) is People
    assert isinstance(Customer.objects, TenantManager)
    assert isinstance(Announced.objects.all(), LifecycleQuerySet)
    for model in (Before, After, Marked):
        assert isinstance(model._default_manager, SoftDeleteManager)
        assert hasattr(model._default_manager, "for_tenant")


def test_a_namespace_is_not_a_tenant() -> None:
    """Something that merely has a `pk` is refused."""
    with pytest.raises(TenantError), transaction.atomic():
        Customer.objects.create(tenant_id=SimpleNamespace(pk="a"))
