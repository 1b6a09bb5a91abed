"""System checks: settings of the tenant of requests that cannot be meant so."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from core.middleware.tenant import tenant_access, tenant_source
from core.middleware.tenant_sources import from_claim, from_nowhere, from_subdomain

_HINT = "Use claim, header, subdomain, none or the dotted path of a function."


def check_tenant(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report where the tenant cannot be read, or where everybody would be refused."""
    found: list[CheckMessage] = []
    source = None
    try:
        source = tenant_source()
    except (ImportError, TypeError) as error:
        found.append(Error(f"TENANT_SOURCE: {error}", hint=_HINT, id="core.E060"))
    try:
        tenant_access()
    except (ImportError, TypeError) as error:
        hint = "Use the dotted path of a function of request and tenant id."
        found.append(Error(f"TENANT_ACCESS: {error}", hint=hint, id="core.E061"))
    is_asked = source is not None and source not in (from_claim, from_nowhere)
    if is_asked and not getattr(settings, "TENANT_ACCESS", None):
        message = "TENANT_ACCESS is not set: nobody may act in a tenant of TENANT_SOURCE."
        hint = "Name the function that says who may, such as a look at memberships."
        found.append(Error(message, hint=hint, id="core.E062"))
    if source is from_subdomain and not getattr(settings, "TENANT_DOMAIN", None):
        hint = 'Set it to the domain above the tenants: "example.com".'
        found.append(Error("TENANT_DOMAIN is not set.", hint=hint, id="core.E063"))
    return found
