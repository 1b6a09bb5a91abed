"""The base models: what most models of a domain app inherit from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.model_mixins import TimestampsPart, UUIDPart
from core.parts.table_names import TableNamingMixin
from core.parts.tenant import TenantPart
from core.rows.lifecycle import LifecycleModel
from core.soft_delete.part import SoftDeletePart


class TimeStampedModel(TimestampsPart):
    """`created_at` and `updated_at`, both indexed."""

    class Meta:
        abstract = True


class SoftDeleteModel(SoftDeletePart):
    """Rows that are marked instead of removed."""

    class Meta(SoftDeletePart.Meta):
        abstract = True


class DBBaseModel(TableNamingMixin, UUIDPart, TimestampsPart):
    """A UUID key, timestamps and a table named after the class; nothing else."""

    class Meta:
        abstract = True


class TenantBaseModel(DBBaseModel, TenantPart):
    """A `DBBaseModel` whose rows belong to a tenant; `objects.for_tenant()` finds them."""

    class Meta:
        abstract = True


class BaseModel(  # type: ignore[misc]  # the parts of soft deletion win over those of the life cycle
    DBBaseModel, TimeStampedModel, SoftDeleteModel, LifecycleModel
):
    """The usual parent of a domain model.

    It has a UUID key, timestamps, soft deletion, a table named after the class, the newest rows
    first, and it announces what happens to its rows (see `LifecycleModel` for the options). A
    child with a `Meta` of its own says `class Meta(BaseModel.Meta)`, or it loses the ordering.
    """

    class Meta(SoftDeletePart.Meta):
        abstract = True
        ordering = ["-created_at"]


if TYPE_CHECKING:
    from core.pydantic_models import PydanticBaseModel as PydanticBaseModel
else:

    def __getattr__(name: str) -> Any:
        # On first use, since pydantic is not among the requirements.
        if name == "PydanticBaseModel":
            return import_module("core.pydantic_models").PydanticBaseModel
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
