"""To which tenant a row belongs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import models, router
from django.db.models.signals import class_prepared

from core.context import current_context
from core.exceptions import TenantError
from core.managers import SoftDeleteManager, SoftDeleteQuerySet
from core.rows.bulk import LifecycleManager, LifecycleQuerySet, Row
from core.rows.saving import RememberingPart
from core.rows.writing import WritePart
from core.tenancy import MAX_LENGTH, TenantManager, TenantQuerySet, tenant_id_of


class TenantField(models.CharField):  # type: ignore[type-arg]  # not generic at run time
    """The id of a tenant as text, filled in with the current tenant when a row is made.

    An instance of a tenant, a number or a UUID may be given as well. In migrations it is a
    CharField.
    """

    def deconstruct(self) -> Any:
        """Return what migrations store: an ordinary CharField."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.CharField", args, options

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Fill in the tenant if this row is new, also one of many made at once."""
        if add and isinstance(model_instance, TenantPart):
            model_instance._fill_in_tenant()
        value = getattr(model_instance, self.attname)
        if not hasattr(value, "resolve_expression"):
            value = self._checked(value)
            setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        """Return the value for a query: the id as text."""
        key = value.pk if isinstance(value, models.Model) else value
        return super().get_prep_value(key)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Return what is stored. Raises TenantError for what cannot be the id of a tenant."""
        if not hasattr(value, "as_sql"):
            value = self._checked(value)
        return super().get_db_prep_save(value, connection)

    def _checked(self, value: Any) -> str:
        if value is None or value == "":
            raise TenantError(
                f"{self.model.__name__} needs a {self.name}: give one, "
                "or make a tenant the current one with set_current_tenant(...)"
            )
        return tenant_id_of(value)


class TenantPart(RememberingPart, WritePart):
    """`tenant_id` says whose the row is: the current tenant's, unless it is set by hand.

    A row without a tenant is refused with TenantError; so is a plain `save()` that would move a
    stored row to another tenant. `save(update_fields=["tenant_id"])` and `update(tenant_id=...)`
    say that this is meant.
    """

    tenant_id = TenantField(max_length=MAX_LENGTH, db_index=True, editable=False)

    objects = TenantManager()

    # The key of the row whose tenant is noted.
    _noted_key: Any = None
    # A move may yet be rolled back: from then on each save looks where the row is.
    _has_moved = False

    class Meta:
        abstract = True

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Check the fields as Django does; a new row has its tenant by then."""
        if self._state.adding:
            self._fill_in_tenant()
        super().clean_fields(exclude=exclude)

    def _fill_in(self, names: frozenset[str] | None, using: str | None) -> set[str]:
        if names is None and "tenant_id" in self.__dict__:
            self._refuse_to_move(using)
        return super()._fill_in(names, using)

    def _saved(self, names: Collection[str] | None) -> None:
        before = self._noted.get("tenant_id")
        super()._saved(names)
        if names is not None and self._noted.get("tenant_id") != before:
            self._has_moved = True

    def _note(self, names: Collection[str]) -> None:
        super()._note(names)
        if "tenant_id" in names:
            self._noted_key = self.pk

    def _fill_in_tenant(self) -> None:
        if self.tenant_id is None or self.tenant_id == "":
            self.tenant_id = current_context().tenant_id or ""

    def _refuse_to_move(self, using: str | None) -> None:
        using = using or router.db_for_write(type(self), instance=self)
        if self._is_noted(using):
            return
        stored = self._stored_tenant(using)
        if stored is None or stored == self.tenant_id or not self.tenant_id:
            # An empty one is refused when it is stored, or filled in if the row is new.
            return
        if stored != tenant_id_of(self.tenant_id):
            raise TenantError(
                f"{type(self).__name__} {self.pk} belongs to the tenant {stored!r}; to move it to "
                f"{self.tenant_id!r:.100}, say save(update_fields=['tenant_id'])"
            )

    def _is_noted(self, using: str) -> bool:
        """Tell whether the row is known to be where it says, unless somebody has moved it since."""
        is_this_row = self._state.db == using and self._noted_key == self.pk
        is_here = self._noted.get("tenant_id") == self.tenant_id
        return is_this_row and is_here and not self._has_moved

    def _stored_already(self, using: str) -> set[str]:
        # A row that somebody has moved meanwhile is not brought back by what this one holds.
        kept = super()._stored_already(using)
        return kept | {"tenant_id"} if self._is_noted(using) else kept

    def _stored_tenant(self, using: str) -> str | None:
        """Return the tenant of the stored row; None if this is a new one."""
        made_here = self._state.adding and self._meta.pk.has_default()
        if self.pk is None or made_here:
            return None
        rows = type(self)._base_manager.using(using).filter(pk=self.pk)
        stored: str | None = rows.values_list("tenant_id", flat=True).first()
        return stored


class TenantLifecycleQuerySet(  # type: ignore[override]  # the manager that the stubs derive
    TenantQuerySet[Row], LifecycleQuerySet[Row]
):
    """Rows of tenants whose changes in bulk are announced."""


class TenantSoftDeleteQuerySet(  # type: ignore[override]  # the manager that the stubs derive
    TenantQuerySet[Row], SoftDeleteQuerySet[Row]
):
    """Rows of tenants that are marked instead of removed."""


TenantLifecycleManager = LifecycleManager.from_queryset(
    TenantLifecycleQuerySet, "TenantLifecycleManager"
)
TenantSoftDeleteManager = SoftDeleteManager.from_queryset(
    TenantSoftDeleteQuerySet, "TenantSoftDeleteManager"
)

# The manager of a tenant's model by what another parent asks for, the most demanding first.
_MANAGERS = (
    (SoftDeleteManager, TenantSoftDeleteManager),
    (LifecycleManager, TenantLifecycleManager),
)
_REPLACED = {TenantManager, *(kind for kind, _ in _MANAGERS)}


def _choose_manager(sender: type[models.Model], **kwargs: Any) -> None:
    # Which manager Django takes depends on the order of the parents; that deleted rows are hidden
    # and changes are announced must not. A manager of the user's own is left alone.
    meta = sender._meta
    if not issubclass(sender, TenantPart) or meta.proxy or meta.local_managers:
        return
    parents = [parent for parent in sender.__mro__ if hasattr(parent, "_meta")]
    managers = [manager for parent in parents for manager in parent._meta.local_managers]
    kinds = {type(manager) for manager in managers if manager.name == "objects"}
    if kinds <= _REPLACED:
        for kind, chosen in _MANAGERS:
            if kind in kinds:
                sender.add_to_class("objects", chosen())
                return


class_prepared.connect(_choose_manager)
