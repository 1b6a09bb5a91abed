"""Querysets that find the rows of one tenant when they are asked to."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from django.db import models

from core.tenancy.condition import show_all_tenants
from core.tenancy.current import require_current_tenant
from core.tenancy.identity import tenant_id_of

Row = TypeVar("Row", bound=models.Model, covariant=True)

CURRENT: Any = object()


class TenantQuerySet(models.QuerySet[Row, Row]):
    """A queryset of a model with a `tenant_id` that finds the rows of one tenant."""

    def for_tenant(self, tenant: Any = CURRENT) -> Self:
        """Keep only rows of this tenant; without an argument of the current one.

        Raises TenantError when that is no tenant's id or when there is no current tenant.
        """
        tenant_id = require_current_tenant() if tenant is CURRENT else tenant_id_of(tenant)
        return self.all_tenants().filter(tenant_id=tenant_id)

    def all_tenants(self) -> Self:
        """Show the rows of all tenants; an explicit filter on `tenant_id` stays."""
        rows = self.filter()  # a copy; refused for slices, union() and the like
        show_all_tenants(rows.query.where)
        return rows


TenantManager = models.Manager.from_queryset(TenantQuerySet, "TenantManager")
