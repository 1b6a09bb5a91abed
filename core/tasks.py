"""What beat asks of the foundation."""

from __future__ import annotations

from celery import shared_task

from core.models import PlatformFeeConfig


# Without task events: one every ten seconds would hide the others in Flower.
@shared_task(name="platform_fee.apply_planned_change", ignore_result=True, send_events=False)
def apply_planned_change() -> bool:
    """Record and announce a planned change of the fee that is due. Returns whether one was."""
    return PlatformFeeConfig.apply_planned_change()
