"""The current tenant, in the context of the running request, task or handler."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from core.context import Context, changed, current_context, set_context
from core.exceptions import TenantError
from core.helpers import shortened
from core.tenancy.identity import tenant_id_of, text_of


@dataclass(frozen=True)
class TenantContext:
    """A tenant, and optionally who acts for it and in which roles.

    Ids may be texts, numbers, UUIDs or saved model instances; they are kept as texts. Raises
    TenantError for anything else.
    """

    tenant_id: str
    user_id: str | None = None
    roles: tuple[str, ...] = ()

    def __init__(self, tenant_id: Any, user_id: Any = None, roles: Iterable[str] = ()) -> None:
        object.__setattr__(self, "tenant_id", tenant_id_of(tenant_id))
        user = None if user_id is None else text_of("user_id", user_id, 128)
        object.__setattr__(self, "user_id", user)
        object.__setattr__(self, "roles", _roles_of(roles))


class TenantToken:
    """What `set_current_tenant` returns: it puts the former tenant back.

    `token.reset()` does so now, `with token:` at the end of the block. To await it does nothing.
    """

    def __init__(self, former: Context) -> None:
        self._former: Context | None = former

    def reset(self) -> None:
        """Put back the tenant, the actor and the roles of before; a second time nothing happens."""
        former, self._former = self._former, None
        if former is not None:
            set_context(
                changed(
                    current_context(),
                    tenant_id=former.tenant_id,
                    actor_id=former.actor_id,
                    roles=former.roles,
                )
            )

    def __await__(self) -> Generator[None, None, Self]:
        return self
        yield  # makes this a generator, as awaiting wants it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.reset()


def set_current_tenant(tenant: Any) -> TenantToken:
    """Make this the current tenant at once; the token that is returned puts the former one back.

    `tenant` is an id, a saved instance, a `TenantContext` (whose user becomes the actor) or None
    for no tenant. Both `set_current_tenant(x)` and `await set_current_tenant(x)` do it. Raises
    TenantError for anything else. The end of a request or a Celery task puts back what was before.
    """
    former = current_context()
    changes: dict[str, Any] = {"tenant_id": None}
    if isinstance(tenant, TenantContext):
        changes = {"tenant_id": tenant.tenant_id, "roles": tenant.roles}
        if tenant.user_id is not None:
            changes["actor_id"] = tenant.user_id
    elif tenant is not None:
        changes = {"tenant_id": tenant_id_of(tenant)}
    set_context(changed(former, **changes))
    return TenantToken(former)


def get_current_tenant() -> str | None:
    """Return the id of the current tenant, or None."""
    return current_context().tenant_id


def get_tenant_context() -> TenantContext | None:
    """Return the current tenant with the actor and the actor's roles; None without a tenant."""
    context = current_context()
    if context.tenant_id is None:
        return None
    return TenantContext(context.tenant_id, context.actor_id, context.roles)


def require_current_tenant() -> str:
    """Return the id of the current tenant. Raises TenantError when there is none."""
    tenant = current_context().tenant_id
    if tenant is None:
        raise TenantError("there is no current tenant; set one with set_current_tenant(...)")
    return tenant


def _roles_of(roles: Iterable[str]) -> tuple[str, ...]:
    if isinstance(roles, str) or not isinstance(roles, Iterable):
        raise TenantError(f"roles must be a collection of texts, got {shortened(roles)}")
    found = tuple(roles)
    for role in found:
        if not isinstance(role, str) or not role:
            raise TenantError(f"a role must be a text, got {shortened(role)}")
    return found
