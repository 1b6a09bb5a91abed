"""What a change of the platform fee leaves behind: history, a line in the log, an event."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model

from core.context import current_context
from core.exceptions import ValidationError
from core.fee.history import PlatformFeeChange
from core.rows.values import could_be
from core.signals.audit_signals import platform_fee_changed, platform_fee_planned

logger = logging.getLogger(__name__)


def record(sender: Any, using: str, *, old: Decimal, new: Decimal, by: Any, at: datetime) -> None:
    """Add a change to the history, log it and fire `platform_fee.changed`.

    To be called in the transaction that changes the row, which is locked; `by` is a user's key.
    """
    who = _text(by)
    change = PlatformFeeChange.objects.using(using).append(
        old=old, new=new, changed_by=who or "", effective_at=at
    )
    logger.info("the platform fee changed from %s to %s per cent, by user %s", old, new, who)
    platform_fee_changed.send(
        sender=sender, old=old, new=new, changed_by=who, effective_at=change.effective_at
    )


def announce_plan(sender: Any, *, old: Mapping[str, Any], new: Mapping[str, Any], by: Any) -> None:
    """Log what is planned, and was, and fire `platform_fee.planned`; `by` is a user's key."""
    who, start = _text(by), new["planned_from"]
    if start is None:
        logger.info("the planned change of the platform fee was cancelled, by user %s", who)
    else:
        logger.info(
            "the platform fee is planned to be %s per cent from %s on, by user %s",
            new["planned_percentage"],
            start.isoformat(),
            who,
        )
    changes = {name: [old[name], new[name]] for name in new}
    platform_fee_planned.send(sender=sender, changes=changes, changed_by=who)


def acting_user(using: str) -> Any:
    """Return the key of the user who acts by the event context, or None if nobody or no user."""
    actor = current_context().actor_id
    try:
        return None if actor is None else user_key(actor, using)
    except ValidationError:
        return None


def user_key(user: Any, using: str) -> Any:
    """Return the key of a user, or of the user with this key.

    Raises ValidationError when there is no such user.
    """
    model = get_user_model()
    key = user
    if isinstance(user, Model):
        # The key of anything else would be that of a user by chance.
        key = user.pk if isinstance(user, model) else None
    field = model._meta.pk
    if key is not None and could_be(field, key):
        key = field.to_python(key)
        if model._base_manager.using(using).filter(pk=key).exists():
            return key
    raise ValidationError(f"by must be a user who exists, not {user!r}"[:200])


def _text(key: Any) -> str | None:
    return None if key is None else str(key)
