"""PlatformFeeChange: every change of the platform fee, append-only."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

from django.db import models

from core.base_models import TimeStampedModel
from core.exceptions import BusinessLogicError


class PlatformFeeChangeQuerySet(models.QuerySet["PlatformFeeChange"]):
    """Reads; what would change or delete rows raises BusinessLogicError."""

    def percentage_at(self, at: datetime) -> Decimal | None:
        """Return the fee that was in force, or None when no change is known at all.

        Before the first change that is the percentage which this change replaced.
        """
        change = self.filter(effective_at__lte=at).order_by("effective_at", "pk").last()
        if change is not None:
            return change.new
        first = self.order_by("effective_at", "pk").first()
        return None if first is None else first.old

    def append(
        self, *, old: Decimal, new: Decimal, changed_by: str, effective_at: datetime
    ) -> PlatformFeeChange:
        """Add a change and return it; the caller holds the lock on the fee's row.

        It is effective no earlier than the one before, even if the database's clock was set back.
        """
        newest = self.aggregate(at=models.Max("effective_at"))["at"]
        return self.create(
            old=old,
            new=new,
            changed_by=changed_by,
            effective_at=max(newest or effective_at, effective_at),
        )

    def update(self, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise _append_only()

    def delete(self) -> NoReturn:
        """Refuse."""
        raise _append_only()

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise _append_only()

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: changes come one by one, each with the fee's row locked."""
        raise _append_only()

    # Django's marks: templates may not call these, and managers do not offer `delete`.
    update.alters_data = delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class PlatformFeeChange(TimeStampedModel):
    """From when on which fee was in force, and who changed it; `created_at` is when we knew."""

    effective_at = models.DateTimeField(db_index=True)
    old = models.DecimalField(max_digits=5, decimal_places=2)
    new = models.DecimalField(max_digits=5, decimal_places=2)
    changed_by = models.CharField(
        max_length=128, blank=True, help_text="User id; outlives the user."
    )

    objects = PlatformFeeChangeQuerySet.as_manager()

    class Meta:
        app_label = "core"
        db_table = "platform_fee_change"
        verbose_name = "platform fee change"
        ordering = ["-effective_at", "-pk"]
        # Also where Django goes round the default manager.
        base_manager_name = "objects"

    def __str__(self) -> str:
        return f"{self.old} % to {self.new} %"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert a new row; saving one that exists raises BusinessLogicError."""
        if not self._state.adding:
            raise _append_only()
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise _append_only()


def _append_only() -> BusinessLogicError:
    return BusinessLogicError("The history of the platform fee is append-only")
