"""TenantScopedManager: its rows are those of the current tenant, and so are its writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.core import checks
from django.db import models
from django.db.models import F

from core.exceptions import TenantError
from core.helpers import shortened
from core.tenancy.condition import CurrentTenant, OfCurrentTenant, is_scoped
from core.tenancy.current import require_current_tenant
from core.tenancy.identity import tenant_id_of
from core.tenancy.querysets import CURRENT, TenantQuerySet


class _ScopedQueries(TenantQuerySet[Any]):
    """Makes the writes of a scoped queryset keep to the current tenant as well."""

    def create(self, **kwargs: Any) -> Any:
        if is_scoped(self.query.where):
            kwargs = {"tenant_id": require_current_tenant()} | kwargs
            _refuse_others(kwargs)
        return super().create(**kwargs)

    def bulk_create(
        self,
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> Any:
        objs = list(objs)
        if is_scoped(self.query.where):
            if update_conflicts and "tenant_id" not in (unique_fields or ()):
                raise TenantError(
                    "unique_fields must name tenant_id, else rows of other tenants could be "
                    "changed; write through all_tenants() if that is meant"
                )
            tenant_id = require_current_tenant()
            for obj in objs:
                obj.tenant_id = obj.tenant_id or tenant_id
                _refuse_others({"tenant_id": obj.tenant_id})
        return super().bulk_create(
            objs, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
        )

    def update(self, **kwargs: Any) -> int:
        if is_scoped(self.query.where):
            _refuse_others(kwargs)
        return super().update(**kwargs)

    def update_or_create(
        self, defaults: Any = None, create_defaults: Any = None, **kwargs: Any
    ) -> Any:
        if is_scoped(self.query.where):
            _refuse_others(defaults or {})
        return super().update_or_create(defaults, create_defaults, **kwargs)


def _refuse_others(values: Mapping[str, Any]) -> None:
    current = require_current_tenant()
    if "tenant_id" in values and tenant_id_of(values["tenant_id"]) != current:
        raise TenantError(
            f"tenant_id={shortened(values['tenant_id'])} is not the current tenant {current!r}; "
            "make it the current one, or write through all_tenants()"
        )


class TenantScopedManager(models.Manager[Any]):
    """The manager whose rows are those of the tenant that is current when the query runs.

    Put it on a model with a `tenant_id`, as `objects = TenantScopedManager()`: it scopes
    the manager that the model would have had by that name, soft deletion included, and its related
    managers.
    Without a current tenant, queries and writes raise TenantError. `all_tenants()` and
    `for_tenant("b")` are the ways out.
    """

    def contribute_to_class(self, cls: type[models.Model], name: str) -> None:
        """Become a manager that scopes what the model inherits under this name."""
        managers = [type(self), *_inherited_managers(cls, name)]
        queries: list[Any] = [_ScopedQueries, *(each._queryset_class for each in managers)]
        scoped = type(
            f"TenantScoped{cls.__name__}Manager",
            _most_special(managers),
            {"_queryset_class": type("TenantScopedQuerySet", _most_special(queries), {})},
        )
        models.Manager.contribute_to_class(scoped(), cls, name)

    def get_queryset(self) -> Any:
        """Return the rows of the tenant that will be current when they are read."""
        return super().get_queryset().filter(OfCurrentTenant(F("tenant_id"), CurrentTenant()))

    def for_tenant(self, tenant: Any = CURRENT) -> Any:
        """Return the rows of this tenant, whichever is current."""
        return self.get_queryset().for_tenant(tenant)

    def all_tenants(self) -> Any:
        """Return the rows of all tenants."""
        return self.get_queryset().all_tenants()

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Tell Django's checks when the model has no tenant."""
        found: list[checks.CheckMessage] = super().check(**kwargs)
        if not any(field.name == "tenant_id" for field in self.model._meta.get_fields()):
            found.append(
                checks.Error(
                    "TenantScopedManager needs a model with a field `tenant_id`.",
                    hint="Inherit core.TenantMixin.",
                    obj=self.model,
                    id="core.E030",
                )
            )
        return found


def _inherited_managers(model: type[models.Model], name: str) -> list[Any]:
    parents = [parent for parent in model.__mro__[1:] if hasattr(parent, "_meta")]
    managers = [manager for parent in parents for manager in parent._meta.local_managers]
    return [type(manager) for manager in managers if manager.name == name]


def _most_special(classes: Iterable[type]) -> tuple[type, ...]:
    """Return these classes without those that another of them is derived from."""
    found = list(dict.fromkeys(classes))
    return tuple(
        each
        for each in found
        if not any(other is not each and issubclass(other, each) for other in found)
    )
