"""Sets the tenant of a request, for those who may act in it.

MIDDLEWARE = [
    ...,
    "core.middleware.auth_middleware.AuthMiddleware",
    "core.middleware.tenant.TenantMiddleware",
]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string

from core.context import changed, current_context, set_context
from core.exceptions import AuthorizationError, TenantError
from core.middleware.base import Middleware
from core.middleware.exception_handler import answered
from core.middleware.scope import RequestScope
from core.middleware.tenant_sources import SOURCES, from_claim, from_header, trusted_gateway
from core.tenancy import tenant_id_of
from core.tracing import TENANT


class TenantMiddleware(Middleware):
    """Makes the tenant that a request names the current one, until the request ends.

    `TENANT_SOURCE` says where it stands: "claim" of the bearer token (the default), "header",
    "subdomain", the path of a function that gets the request, or "none". The issuer of a
    token vouches for its claim; for all others `TENANT_ACCESS`, a function that gets request and
    tenant id, says who may act in it: True, False, or the names of the roles that the user has
    there, none meaning no. Nobody may without it. Either function may be a coroutine. Refused is
    answered with 403, what cannot be a tenant's id with 400; without a tenant the request passes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._source = tenant_source()
        # The issuer of a token vouches for what it claims.
        self._access = _vouched if self._source is from_claim else tenant_access()

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        with RequestScope(request) as scope:
            try:
                tenant = _tidy(_call(self._source, request))
                if tenant is not None:
                    _enter(tenant, _call(self._access, request, tenant))
            except Exception as error:
                return self._marked(answered(request, error))
            return self._marked(scope.kept_in(self.get_response(request)))

    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        with RequestScope(request) as scope:
            try:
                tenant = _tidy(await _acall(self._source, request))
                if tenant is not None:
                    _enter(tenant, await _acall(self._access, request, tenant))
            except Exception as error:
                return self._marked(answered(request, error))
            return self._marked(scope.kept_in(await self.get_response(request)))

    def _marked(self, response: HttpResponseBase) -> HttpResponseBase:
        if self._source is from_header:
            # Also without the header: a cache must not mix up tenants.
            patch_vary_headers(response, (TENANT,))
        return response


def tenant_source() -> Callable[..., Any]:
    """Return the function that finds the tenant of a request: `TENANT_SOURCE`.

    Raises ImportError for a path that leads nowhere, TypeError for what is none.
    """
    source = getattr(settings, "TENANT_SOURCE", "claim") or "none"
    return source if callable(source) else SOURCES.get(source) or _imported(source)


def tenant_access() -> Callable[..., Any]:
    """Return the function that says who may act in a tenant: `TENANT_ACCESS`, or nobody.

    Raises ImportError for a path that leads nowhere, TypeError for what is none.
    """
    access = getattr(settings, "TENANT_ACCESS", None)
    if not access:
        return _nobody
    return access if callable(access) else _imported(access)


def _imported(path: object) -> Callable[..., Any]:
    if not isinstance(path, str):
        raise TypeError(f"a function or its dotted path, not {path!r}")
    found: Callable[..., Any] = import_string(path)
    return found


def _nobody(request: HttpRequest, tenant_id: str) -> bool:
    return False


def _vouched(request: HttpRequest, tenant_id: str) -> Any:
    # The roles of a token are those in the tenant of the same token.
    return current_context().roles or True


# They neither wait nor query, so an event loop calls them as they are.
_IMMEDIATE = frozenset({*SOURCES.values(), trusted_gateway, _nobody, _vouched})


def _call(function: Callable[..., Any], *args: Any) -> Any:
    found = async_to_sync(function)(*args) if iscoroutinefunction(function) else function(*args)
    return _read(found)


async def _acall(function: Callable[..., Any], *args: Any) -> Any:
    if iscoroutinefunction(function):
        return _read(await function(*args))
    if function in _IMMEDIATE:
        return _call(function, *args)
    return await sync_to_async(_call)(function, *args)


def _read(found: Any) -> Any:
    # A queryset is read where it was made: an event loop could not.
    return tuple(found) if isinstance(found, Iterable) and not isinstance(found, str) else found


def _tidy(tenant: Any) -> str | None:
    if tenant is None or tenant == "":
        return None
    tenant_id = tenant_id_of(tenant)
    if not tenant_id.isprintable():
        raise TenantError("a tenant's id must be printable")
    return tenant_id


def _enter(tenant_id: str, verdict: Any) -> None:
    if not isinstance(verdict, bool | tuple | None) or not _are_names(verdict or ()):
        raise TypeError(f"TENANT_ACCESS must return a bool or names of roles, got {verdict!r}")
    if not verdict:
        raise AuthorizationError("You may not act in this tenant.", code="TENANT_REFUSED")
    roles = () if verdict is True else verdict
    set_context(changed(current_context(), tenant_id=tenant_id, roles=roles))


def _are_names(roles: Any) -> bool:
    return roles is True or all(isinstance(role, str) for role in roles)
