"""A change of the platform fee that is planned ahead: replaced, dropped, or made the fee.

The functions take the stored row (a PlatformFeeConfig) or the queryset of it; whatever they do is
done with the row locked.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from core.context import event_context
from core.exceptions import ValidationError
from core.fee import cache as fee_cache
from core.fee import changes as fee_changes
from core.fee.reading import NO_PLAN
from core.fee.rows import PlatformFeeQuerySet


def replace(
    rows: PlatformFeeQuerySet, percentage: Decimal | None, start: datetime | None, *, by: Any
) -> bool:
    """Plan this instead of what was planned (both None: nothing); return whether that is new.

    Raises ValidationError for a moment that is not in the future, and for an unknown user.
    """
    using = rows.db
    planner = fee_changes.acting_user(using) if by is None else fee_changes.user_key(by, using)
    with transaction.atomic(using=using):
        locked = rows.lock()
        if start is not None and start <= locked.now:
            raise ValidationError(
                f"effective_from must be in the future, not {start.isoformat()}; "
                "to change the fee now, save() it",
                details={"field": "effective_from"},
            )
        stored = locked.config
        take_effect(stored, locked.now)
        old = {name: getattr(stored, name) for name in ("planned_percentage", "planned_from")}
        new = {"planned_percentage": percentage, "planned_from": start}
        if old == new:
            return False
        _write(stored, **new, planned_by_id=planner if start else None)
        fee_changes.announce_plan(rows.model, old=old, new=new, by=planner)
    return True


def apply_due(rows: PlatformFeeQuerySet) -> bool:
    """Lock the row and make a due plan the fee; return whether there was one."""
    if not rows.filter(planned_from__lte=Now()).exists():
        return False
    with transaction.atomic(using=rows.db):
        locked = rows.lock()
        return take_effect(locked.config, locked.now)


def take_effect(stored: Any, now: datetime) -> bool:
    """Make a due plan the fee, in a row that is locked; return whether there was one."""
    start, new = stored.planned_from, stored.planned_percentage
    if start is None or new is None or start > now:
        return False
    old, planner = stored.fee_percentage, stored.planned_by_id
    _write(stored, fee_percentage=new, updated_by_id=planner, **NO_PLAN)
    if old != new:
        with event_context(actor=planner):
            using = stored._state.db
            fee_changes.record(type(stored), using, old=old, new=new, by=planner, at=start)
    return True


def _write(stored: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(stored, name, value)
    using = stored._state.db
    row = type(stored)._base_manager.using(using).filter(pk=stored.pk)
    row.update(**values, updated_at=timezone.now())
    fee_cache.changed(using)
