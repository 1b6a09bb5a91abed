"""The condition that keeps a query to the tenant that is current when it runs."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.expressions import Expression
from django.db.models.lookups import Exact
from django.db.models.sql.where import WhereNode

from core.tenancy.current import require_current_tenant


class CurrentTenant(Expression):
    """The tenant that is current when the query runs. Raises TenantError when there is none."""

    output_field = models.CharField()

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str]]:
        return "%s", (require_current_tenant(),)


class OfCurrentTenant(Exact):
    """The condition that a scoped manager adds; `all_tenants()` knows it by its type."""


def show_all_tenants(where: WhereNode) -> None:
    """Take the condition of scoped managers out of a query."""
    for index, child in enumerate(where.children):
        if isinstance(child, OfCurrentTenant):
            # An empty node is true wherever it stands, also within OR and NOT.
            where.children[index] = WhereNode()
        elif isinstance(child, WhereNode):
            show_all_tenants(child)


def is_scoped(where: WhereNode) -> bool:
    """Tell whether a query has the condition of scoped managers."""
    return any(
        isinstance(child, OfCurrentTenant) or (isinstance(child, WhereNode) and is_scoped(child))
        for child in where.children
    )
