"""The signals of the system: declarations only. Whoever fires one need not know who listens."""

from core.signals.audit_signals import (
    audit_event,
    cache_invalidation_requested,
    integration_event,
    model_created,
    model_deleted,
    model_restored,
    model_soft_deleted,
    model_updated,
    platform_fee_changed,
    platform_fee_planned,
    system_error,
)
from core.signals.notification_events import business_event, notification_requested
from core.signals.user_activity import performance_metric, user_activity
from core.signals.user_signals import user_logged_in, user_profile_updated, user_registered

__all__ = [
    "audit_event",
    "business_event",
    "cache_invalidation_requested",
    "integration_event",
    "model_created",
    "model_deleted",
    "model_restored",
    "model_soft_deleted",
    "model_updated",
    "notification_requested",
    "performance_metric",
    "platform_fee_changed",
    "platform_fee_planned",
    "system_error",
    "user_activity",
    "user_logged_in",
    "user_profile_updated",
    "user_registered",
]
