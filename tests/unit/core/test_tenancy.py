"""The current tenant, and what keeps to it."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from celery import Celery
from celery.signals import task_postrun, task_prerun
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import isolate_apps
from django.urls import path

from core.context import current_context, event_context
from core.events import EventSignal, capture_events
from core.exceptions import TenantError
from core.tenancy import (
    TenantContext,
    TenantScopedManager,
    get_current_tenant,
    get_tenant_context,
    require_current_tenant,
    set_current_tenant,
)
from tests.sample.models import Bid, Customer, Invoice, Lead, Locker, Parcel


@pytest.fixture(autouse=True)
def _no_tenant() -> Any:
    with event_context(tenant=None, actor=None):
        yield


class TestCurrentTenant:
    def test_it_is_set_at_once(self) -> None:
        """Without awaiting, the tenant is there, and the token puts back what was before."""
        token = set_current_tenant("tenant-123")
        assert get_current_tenant() == require_current_tenant() == "tenant-123"
        token.reset()
        assert get_current_tenant() is None

    def test_it_can_be_awaited(self) -> None:
        """`await set_current_tenant(...)` sets it for the task that awaits."""

        async def handle() -> None:
            token = await set_current_tenant("tenant-123")
            assert get_current_tenant() == require_current_tenant() == "tenant-123"
            token.reset()
            assert get_current_tenant() is None

        asyncio.run(handle())

    def test_a_block_ends_it(self) -> None:
        """As a context manager the token puts back the former tenant, also after an error."""
        set_current_tenant("a")
        with set_current_tenant("b"):
            assert get_current_tenant() == "b"
        assert get_current_tenant() == "a"
        with pytest.raises(KeyError), set_current_tenant("b"):
            {}["missing"]
        assert get_current_tenant() == "a"

    def test_a_second_reset_does_nothing(self) -> None:
        """A token that was used leaves alone what was set since."""
        token = set_current_tenant("a")
        token.reset()
        set_current_tenant("b")
        token.reset()
        assert get_current_tenant() == "b"

    def test_none_clears_it(self) -> None:
        """None means no tenant, and then one cannot be required."""
        set_current_tenant("a")
        set_current_tenant(None)
        with pytest.raises(TenantError, match="set_current_tenant"):
            require_current_tenant()
        assert get_tenant_context() is None

    @pytest.mark.parametrize("tenant", [7, UUID(int=7), "7"])
    def test_ids_become_texts(self, tenant: Any) -> None:
        """Numbers and UUIDs are tenants too; they are kept as texts."""
        set_current_tenant(tenant)
        assert get_current_tenant() == str(tenant)

    def test_an_instance_stands_for_its_key(self) -> None:
        """A saved instance is a tenant."""
        set_current_tenant(Customer(id=UUID(int=7)))
        assert get_current_tenant() == str(UUID(int=7))

    @pytest.mark.parametrize(
        "tenant",
        [
            "",
            "  ",
            "a\x00b",
            "a\ud800",
            "x" * 65,
            True,
            1.5,
            b"a",
            ["a"],
            object(),
            10**5000,
            Bid(),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_is_no_tenant_is_refused(self, tenant: Any) -> None:
        """Anything else raises TenantError, and the former tenant stays."""
        set_current_tenant("a")
        with pytest.raises(TenantError, match="tenant_id must be"):
            set_current_tenant(tenant)
        assert get_current_tenant() == "a"


class TestTenantContext:
    def test_it_carries_user_and_roles(self) -> None:
        """A context sets the actor and the roles as well, and can be asked for."""
        context = TenantContext(tenant_id="tenant-123", user_id="user-456", roles=["admin", "user"])
        with set_current_tenant(context):
            assert get_tenant_context() == context
            assert current_context().actor_id == "user-456"
        assert (context.tenant_id, context.user_id) == ("tenant-123", "user-456")
        assert context.roles == ("admin", "user")
        assert current_context().actor_id is None
        assert pickle.loads(pickle.dumps(context)) == context

    def test_roles_end_with_tenant_and_actor(self) -> None:
        """Roles in one tenant are none in another, nor those of another actor."""
        set_current_tenant(TenantContext("a", "user", ["admin"]))
        with event_context(correlation_id="c"):
            assert current_context().roles == ("admin",)
        with event_context(actor="other"):
            assert current_context().roles == ()
        with event_context(tenant="b"):
            assert current_context().roles == ()
        with set_current_tenant("b"):
            assert get_tenant_context() == TenantContext("b", "user")
        assert current_context().roles == ("admin",), "they are back with their tenant"

    def test_without_a_user_the_actor_stays(self) -> None:
        """Entering a tenant does not forget who acts."""
        with event_context(actor="user"), set_current_tenant(TenantContext("a")):
            assert get_tenant_context() == TenantContext("a", "user")

    @pytest.mark.parametrize(
        "values",
        [
            {"tenant_id": None},
            {"tenant_id": "a", "user_id": ""},
            {"tenant_id": "a", "user_id": 1.5},
            {"tenant_id": "a", "roles": "admin"},
            {"tenant_id": "a", "roles": None},
            {"tenant_id": "a", "roles": [""]},
            {"tenant_id": "a", "roles": [7]},
        ],
    )
    def test_bad_values_are_refused(self, values: Any) -> None:
        """A context of what is no id or no role raises TenantError."""
        with pytest.raises(TenantError, match="must be"):
            TenantContext(**values)


class TestWhoSeesIt:
    def test_threads_have_their_own(self) -> None:
        """A tenant set in one thread is not that of another."""
        both = Barrier(2)

        def serve(tenant: str) -> str | None:
            before = get_current_tenant()
            with set_current_tenant(tenant):
                both.wait(5)
                return before or get_current_tenant()

        set_current_tenant("main")
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(serve, ["a", "b"])) == ["a", "b"]
        assert get_current_tenant() == "main"

    def test_tasks_have_their_own(self) -> None:
        """Requests served at once in one event loop do not see each other's tenant."""

        async def serve(tenant: str, both: asyncio.Barrier) -> str | None:
            await set_current_tenant(tenant)
            await both.wait()
            return await sync_to_async(get_current_tenant)()

        async def main() -> list[str | None]:
            both = asyncio.Barrier(2)
            return await asyncio.gather(serve("a", both), serve("b", both))

        assert asyncio.run(main()) == ["a", "b"]
        assert get_current_tenant() is None

    def test_events_take_it_along(self) -> None:
        """An event knows the tenant that was current when it was fired."""
        with capture_events() as events, set_current_tenant(TenantContext("a", "user")):
            EventSignal("sample.tenant_seen").send(sender=None)
        assert (events[0].tenant_id, events[0].actor_id) == ("a", "user")

    @pytest.mark.parametrize("is_connected", [True, False])
    def test_celery_tasks_leave_none_behind(self, is_connected: bool, monkeypatch: Any) -> None:
        """What a task sets is gone for the next one in the same process, whether or not tasks take
        a context along."""
        if not is_connected:
            for signal in (task_prerun, task_postrun):
                others = [each for each in signal.receivers if each[0][0] != "core.task_context"]
                monkeypatch.setattr(signal, "receivers", others)
        app = Celery(set_as_current=False)
        app.conf.update(task_always_eager=True, task_eager_propagates=False)
        seen = []

        @app.task
        def work(fail: bool) -> None:
            seen.append(get_current_tenant())
            set_current_tenant(TenantContext("a", "user"))
            if fail:
                raise ValueError("no")

        for fail in (False, True, False):
            work.delay(fail)
        assert seen == [None, None, None]
        assert current_context().actor_id is None

    @pytest.mark.django_db
    @pytest.mark.urls(__name__)
    @pytest.mark.parametrize("has_middleware", [True, False])
    def test_requests_leave_none_behind(self, has_middleware: bool, settings: Any) -> None:
        """What a request sets is gone for the next one of the same thread, with any middleware."""
        if not has_middleware:
            settings.MIDDLEWARE = []
        answers = [Client().get("/tenant/").content for _ in range(2)]
        assert answers == [b"None", b"None"]
        assert get_current_tenant() is None


def _view(request: HttpRequest) -> HttpResponse:
    before = get_current_tenant()
    set_current_tenant("a")
    return HttpResponse(str(before))


urlpatterns = [path("tenant/", _view)]


@pytest.fixture
def parcels(db: None) -> dict[str, Parcel]:
    """A parcel and a customer of each of two tenants."""
    made = {}
    for tenant in ("a", "b"):
        with set_current_tenant(tenant):
            customer = Customer.objects.create(name=tenant)
            made[tenant] = Parcel.objects.create(code=f"of {tenant}", customer=customer)
    return made


def codes(rows: Any) -> list[str]:
    return sorted(row.code for row in rows)


class TestForTenant:
    @pytest.mark.django_db
    @pytest.mark.parametrize("model", [Customer, Invoice, Lead, Bid, Parcel])
    def test_it_finds_one_tenants_rows(self, model: Any) -> None:
        """`for_tenant` is on the manager and the querysets of every kind of tenant's model."""
        for tenant in ("a", "b"):
            with set_current_tenant(tenant):
                slug = {"slug": tenant} if model is Invoice else {}
                row = model.objects.create(**slug)
                assert list(model.objects.for_tenant()) == [row]
                assert list(model.objects.filter().for_tenant()) == [row]
        assert list(model.objects.for_tenant("b")) == [row]

    @pytest.mark.django_db
    def test_it_needs_a_tenant(self) -> None:
        """Without a current tenant it raises; a None by mistake does not mean the current one."""
        with pytest.raises(TenantError, match="no current tenant"):
            Customer.objects.for_tenant()
        with set_current_tenant("a"), pytest.raises(TenantError, match="got None"):
            Customer.objects.for_tenant(None)


class TestScopedManager:
    def test_queries_keep_to_the_current_tenant(self, parcels: Any) -> None:
        """Reads, counts, joins and subqueries see the rows of the current tenant only."""
        with set_current_tenant("a"):
            assert codes(Parcel.objects.all()) == ["of a"]
            assert Parcel.objects.count() == 1
            assert Parcel.objects.aggregate(n=models.Count("pk")) == {"n": 1}
            assert not Parcel.objects.filter(code="of b").exists()
            assert codes(Parcel.objects.filter(code="x") | Parcel.objects.all()) == ["of a"]
            assert codes(Parcel.objects.exclude(code="x")) == ["of a"]
            of_parcels = Customer.objects.filter(pk__in=Parcel.objects.values("customer"))
            assert [customer.name for customer in of_parcels] == ["a"]
            with pytest.raises(Parcel.DoesNotExist):
                Parcel.objects.get(pk=parcels["b"].pk)

    def test_the_tenant_is_that_of_the_moment(self, parcels: Any) -> None:
        """A queryset made anywhere is scoped by the tenant that is current when it runs."""
        rows = Parcel.objects.all()
        for tenant in ("a", "b"):
            with set_current_tenant(tenant):
                assert codes(rows.all()) == [f"of {tenant}"]

    def test_it_refuses_to_run_without_a_tenant(self, parcels: Any) -> None:
        """No tenant, no query: also not through relations, for writes or in bulk."""
        customer = parcels["a"].customer
        for attempt in (
            lambda: list(Parcel.objects.all()),
            lambda: Parcel.objects.count(),
            lambda: Parcel.objects.create(),
            lambda: Parcel.objects.create(tenant_id="a"),
            lambda: Parcel.objects.get_or_create(code="x"),
            lambda: Parcel.objects.bulk_create([Parcel()]),
            lambda: Parcel.objects.update(code="x"),
            lambda: Parcel.objects.filter().delete(),
            lambda: Parcel.objects.filter().hard_delete(),
            lambda: list(customer.parcels.all()),
            lambda: customer.parcels.create(code="x"),
            lambda: customer.parcels.update(code="x"),
            lambda: list(Customer.objects.prefetch_related("parcels")),
        ):
            with pytest.raises(TenantError, match="no current tenant"), transaction.atomic():
                attempt()
        assert codes(Parcel.objects.all_tenants()) == ["of a", "of b"]

    def test_writes_keep_to_it(self, parcels: Any) -> None:
        """Rows are made for the current tenant, and only its rows are changed or deleted."""
        with set_current_tenant("a"):
            assert Parcel.objects.create(code="1").tenant_id == "a"
            assert Parcel.objects.get_or_create(code="2")[0].tenant_id == "a"
            assert Parcel.objects.bulk_create([Parcel(code="3")])[0].tenant_id == "a"
            assert parcels["a"].customer.parcels.create(code="4").tenant_id == "a"
            assert Parcel.objects.update(code="new") == 5
            assert Parcel.objects.filter().delete()[0] == 5
        assert codes(Parcel.objects.for_tenant("b")) == ["of b"]

    def test_writes_for_others_are_refused(self, parcels: Any) -> None:
        """Another tenant's row is not made, nor is a row moved there, by a scoped manager."""
        with set_current_tenant("a"):
            for attempt in (
                lambda: Parcel.objects.create(tenant_id="b"),
                lambda: Parcel.objects.bulk_create([Parcel(tenant_id="b")]),
                lambda: Parcel.objects.update(tenant_id="b"),
                lambda: Parcel.objects.get_or_create(code="x", defaults={"tenant_id": "b"}),
                lambda: Parcel.objects.update_or_create(code="of a", defaults={"tenant_id": "b"}),
            ):
                with pytest.raises(TenantError, match="'b' is not the current tenant 'a'"):
                    attempt()
            with pytest.raises(TenantError):
                Parcel.objects.create(tenant_id="")
        assert len(Parcel.objects.for_tenant("a")) == len(Parcel.objects.for_tenant("b")) == 1

    def test_a_row_of_another_tenant_is_not_taken_over(self, parcels: Any) -> None:
        """`update_conflicts` changes no row that has the same key at another tenant."""
        theirs = parcels["b"]
        with (
            set_current_tenant("a"),
            pytest.raises(TenantError, match="unique_fields must name tenant_id"),
        ):
            Parcel.objects.bulk_create(
                [Parcel(pk=theirs.pk, code="taken")],
                update_conflicts=True,
                unique_fields=["id"],
                update_fields=["code", "tenant_id"],
            )
        assert codes(Parcel.objects.for_tenant("b")) == ["of b"]

    def test_all_tenants_is_the_way_out(self, parcels: Any) -> None:
        """`all_tenants()` shows and writes the rows of all, also after filters and on relations."""
        assert codes(Parcel.objects.all_tenants()) == ["of a", "of b"]
        assert codes(Parcel.objects.filter(code="of b").all_tenants()) == ["of b"]
        assert codes(parcels["a"].customer.parcels.all_tenants()) == ["of a"]
        assert Parcel.objects.all_tenants().create(tenant_id="c").tenant_id == "c"
        assert Parcel.objects.all_tenants().filter(tenant_id="c").update(tenant_id="a") == 1
        with set_current_tenant("a"):
            assert codes(Parcel.objects.for_tenant("b")) == ["of b"]

    @pytest.mark.django_db
    @pytest.mark.parametrize("model", [Parcel, Locker])
    def test_soft_deletion_stays(self, model: Any) -> None:
        """The manager scopes what the model inherits, whichever parent comes first."""
        with set_current_tenant("b"):
            model.objects.create().delete()
        with set_current_tenant("a"):
            row = model.objects.create()
            row.delete()
            assert not model.objects.exists()
            assert list(model.objects.deleted()) == list(model.objects.with_deleted()) == [row]
            assert model.objects.deleted().restore() == 1

    def test_instances_know_their_row(self, parcels: Any) -> None:
        """Saving, reloading and following a reference work whoever is current."""
        with set_current_tenant("b"):
            parcel = parcels["a"]
            parcel.refresh_from_db()
            parcel.code = "new"
            parcel.save()
        assert codes(Parcel.objects.for_tenant("a")) == ["new"]

    def test_async_queries_keep_to_it(self, parcels: Any) -> None:
        """Django's async methods are scoped by the tenant of their task."""

        async def handle(tenant: str) -> list[str]:
            await set_current_tenant(tenant)
            await Parcel.objects.acreate(code="async")
            return [row.code async for row in Parcel.objects.order_by("code")]

        assert async_to_sync(handle)("a") == ["async", "of a"]
        assert async_to_sync(handle)("b") == ["async", "of b"]

    @isolate_apps("tests.sample")
    def test_a_model_without_tenants_is_reported(self) -> None:
        """Django's checks name a model that the manager cannot scope."""

        class Bare(models.Model):
            objects = TenantScopedManager()

            class Meta:
                app_label = "sample"

            def __str__(self) -> str:
                return "bare"

        assert [error.id for error in Bare.check()] == ["core.E030"]
