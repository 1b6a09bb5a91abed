"""The current tenant: who sets it, who asks for it, and querysets that keep to it.

It lives in the context of the running request, task or handler (`core.context`), so threads and
asyncio tasks have tenants of their own, and every event takes it along into the worker.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from celery.signals import task_postrun, task_prerun
from django.core import checks
from django.core.signals import request_finished, request_started
from django.db import models
from django.db.models import F
from django.db.models.expressions import Expression
from django.db.models.lookups import Exact
from django.db.models.sql.where import WhereNode

from core.context import Context, changed, current_context, set_context
from core.exceptions import TenantError
from core.helpers import shortened

Row = TypeVar("Row", bound=models.Model, covariant=True)

MAX_LENGTH = 64
_CURRENT: Any = object()


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
        user = None if user_id is None else _text_of("user_id", user_id, 128)
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


def tenant_id_of(tenant: Any) -> str:
    """Return the id as the text that is stored. Raises TenantError for what cannot be one."""
    return _text_of("tenant_id", tenant, MAX_LENGTH)


def _text_of(name: str, value: Any, length: int) -> str:
    key = value.pk if isinstance(value, models.Model) else value
    if isinstance(key, bool) or not isinstance(key, str | int | UUID):
        raise TenantError(
            f"{name} must be a text, a number, a UUID or a saved instance, got {shortened(value)}"
        )
    fits = not isinstance(key, int) or key.bit_length() < 3 * length
    text = str(key) if fits else ""
    if not text.strip() or len(text) > length or "\x00" in text:
        raise TenantError(
            f"{name} must be 1 to {length} characters without NUL, got {shortened(key)}"
        )
    return text


def _roles_of(roles: Iterable[str]) -> tuple[str, ...]:
    if isinstance(roles, str) or not isinstance(roles, Iterable):
        raise TenantError(f"roles must be a collection of texts, got {shortened(roles)}")
    found = tuple(roles)
    for role in found:
        if not isinstance(role, str) or not role:
            raise TenantError(f"a role must be a text, got {shortened(role)}")
    return found


# Threads of web servers and of workers serve one request or task after the other, so a tenant
# that one of them leaves behind must not be there for the next.
_outside: ContextVar[tuple[Context, ...]] = ContextVar("core_tenancy_outside", default=())


def _begin(**kwargs: Any) -> None:
    _outside.set((*_outside.get(), current_context()))


def _end(**kwargs: Any) -> None:
    *outer, former = _outside.get() or (Context(),)
    _outside.set(tuple(outer))
    set_context(former)


for _begins, _ends in ((task_prerun, task_postrun), (request_started, request_finished)):
    _begins.connect(_begin)
    _ends.connect(_end)


class TenantQuerySet(models.QuerySet[Row, Row]):
    """A queryset of a model with a `tenant_id` that finds the rows of one tenant."""

    def for_tenant(self, tenant: Any = _CURRENT) -> Self:
        """Keep only rows of this tenant; without an argument of the current one.

        Raises TenantError when that is no tenant's id or when there is no current tenant.
        """
        tenant_id = require_current_tenant() if tenant is _CURRENT else tenant_id_of(tenant)
        return self.all_tenants().filter(tenant_id=tenant_id)

    def all_tenants(self) -> Self:
        """Show the rows of all tenants; an explicit filter on `tenant_id` stays."""
        rows = self.filter()  # a copy; refused for slices, union() and the like
        _show_all_tenants(rows.query.where)
        return rows


TenantManager = models.Manager.from_queryset(TenantQuerySet, "TenantManager")


class _CurrentTenant(Expression):
    """The tenant that is current when the query runs. Raises TenantError when there is none."""

    output_field = models.CharField()

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str]]:
        return "%s", (require_current_tenant(),)


class _OfCurrentTenant(Exact):
    """The condition that a scoped manager adds; `all_tenants()` knows it by its type."""


def _show_all_tenants(where: WhereNode) -> None:
    for index, child in enumerate(where.children):
        if isinstance(child, _OfCurrentTenant):
            # An empty node is true wherever it stands, also within OR and NOT.
            where.children[index] = WhereNode()
        elif isinstance(child, WhereNode):
            _show_all_tenants(child)


def _is_scoped(where: WhereNode) -> bool:
    return any(
        isinstance(child, _OfCurrentTenant) or (isinstance(child, WhereNode) and _is_scoped(child))
        for child in where.children
    )


class _ScopedQueries(TenantQuerySet[Any]):
    """Makes the writes of a scoped queryset keep to the current tenant as well."""

    def create(self, **kwargs: Any) -> Any:
        if _is_scoped(self.query.where):
            kwargs = {"tenant_id": require_current_tenant()} | kwargs
            _refuse_others(kwargs)
        return super().create(**kwargs)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        objs = list(objs)
        if _is_scoped(self.query.where):
            tenant_id = require_current_tenant()
            for obj in objs:
                obj.tenant_id = obj.tenant_id or tenant_id
                _refuse_others({"tenant_id": obj.tenant_id})
        return super().bulk_create(objs, *args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        if _is_scoped(self.query.where):
            _refuse_others(kwargs)
        return super().update(**kwargs)

    def update_or_create(
        self, defaults: Any = None, create_defaults: Any = None, **kwargs: Any
    ) -> Any:
        if _is_scoped(self.query.where):
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
        return super().get_queryset().filter(_OfCurrentTenant(F("tenant_id"), _CurrentTenant()))

    def for_tenant(self, tenant: Any = _CURRENT) -> Any:
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
