"""Where a request says which tenant it is for, and whom to believe."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from core.exceptions import TenantError
from core.helpers import is_trusted_proxy
from core.tracing import TENANT

_HEADER = f"HTTP_{TENANT.upper().replace('-', '_')}"
# A comma is between headers that were sent twice: which of them is meant nobody can tell.
_SENT = re.compile(r"[!-+\--~]{1,64}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def from_claim(request: HttpRequest) -> Any:
    """Return the claim `TENANT_CLAIM` ("tenant_id") of the verified token, None without one."""
    claims = getattr(request, "token_claims", None) or {}
    return claims.get(getattr(settings, "TENANT_CLAIM", "tenant_id"))


def from_header(request: HttpRequest) -> str | None:
    """Return the header `X-Tenant-ID`; anybody can send it. Raises TenantError for odd ones."""
    value: str = request.META.get(_HEADER, "").strip()
    if value and not _SENT.fullmatch(value):
        raise TenantError(
            f"{TENANT} must be there once, of 1 to 64 ASCII letters, digits and signs"
        )
    return value or None


def from_subdomain(request: HttpRequest) -> str | None:
    """Return "acme" for acme.example.com where `TENANT_DOMAIN` is "example.com".

    None for the domain itself. Raises TenantError for any other host.
    """
    domain = str(getattr(settings, "TENANT_DOMAIN", "")).lower()
    name = re.sub(r":\d+$", "", request.get_host().lower()).rstrip(".")
    if name == domain:
        return None
    label = name.removesuffix(f".{domain}")
    if not domain or label == name or not _LABEL.fullmatch(label):
        raise TenantError("this host belongs to no tenant")
    return label


def from_nowhere(request: HttpRequest) -> None:
    """Return no tenant."""
    return None


def trusted_gateway(request: HttpRequest, tenant_id: str) -> bool:
    """Tell whether the request comes from `TRUSTED_PROXIES`, which then answer for the header."""
    return is_trusted_proxy(request)


SOURCES = {
    "claim": from_claim,
    "header": from_header,
    "subdomain": from_subdomain,
    "none": from_nowhere,
}
