"""The current tenant: who sets it, who asks for it, and querysets that keep to it.

It lives in the context of the running request, task or handler (`core.context`), so threads and
asyncio tasks have tenants of their own, and every event takes it along into the worker.
"""

from core.tenancy.boundaries import watch_boundaries
from core.tenancy.current import (
    TenantContext,
    TenantToken,
    get_current_tenant,
    get_tenant_context,
    require_current_tenant,
    set_current_tenant,
)
from core.tenancy.identity import MAX_LENGTH, tenant_id_of
from core.tenancy.querysets import TenantManager, TenantQuerySet
from core.tenancy.scoped import TenantScopedManager

__all__ = [
    "MAX_LENGTH",
    "TenantContext",
    "TenantManager",
    "TenantQuerySet",
    "TenantScopedManager",
    "TenantToken",
    "get_current_tenant",
    "get_tenant_context",
    "require_current_tenant",
    "set_current_tenant",
    "tenant_id_of",
]

watch_boundaries()
