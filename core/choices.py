"""The constants and vocabularies that several apps share: each is defined here, and only here."""

from __future__ import annotations

from django.db import models

# One-time passwords.
OTP_LENGTH = 4
OTP_VALIDITY_SECONDS = 5 * 60
OTP_MAX_ATTEMPTS = 3

# What people may send in. Lengths in characters, sizes in bytes.
NAME_MIN_LENGTH = 2
NAME_MAX_LENGTH = 100
TITLE_MAX_LENGTH = 200
DESCRIPTION_MAX_LENGTH = 5000
PASSWORD_MIN_LENGTH = 8
MAX_PROFILE_PICTURES = 6
MAX_IMAGE_BYTES = 5 * 1024 * 1024
MAX_DOCUMENT_BYTES = 10 * 1024 * 1024
IMAGE_FORMATS = ("jpeg", "png", "webp")
DOCUMENT_FORMATS = ("pdf",)


class EventStatus(models.TextChoices):
    """The life of something that people can attend; an event of the engine has no status."""

    DRAFT = "draft", "draft"
    PUBLISHED = "published", "published"
    CANCELLED = "cancelled", "cancelled"
    COMPLETED = "completed", "completed"


EVENT_STATUS_CHOICES = EventStatus.choices


class EventType(models.TextChoices):
    """The names of the events that the system itself fires; `core.signals` declares them."""

    MODEL_CREATED = "model.created", "row created"
    MODEL_UPDATED = "model.updated", "row updated"
    MODEL_SOFT_DELETED = "model.soft_deleted", "row marked as deleted"
    MODEL_RESTORED = "model.restored", "row restored"
    MODEL_DELETED = "model.deleted", "row deleted"
    PLATFORM_FEE_CHANGED = "platform_fee.changed", "platform fee changed"
    PLATFORM_FEE_PLANNED = "platform_fee.planned", "change of the platform fee planned"
    AUDIT_EVENT = "audit.event", "action recorded by an app"
    SYSTEM_ERROR = "system.error", "error in the system"
    INTEGRATION_EVENT = "integration.event", "exchange with another service"
    CACHE_INVALIDATION_REQUESTED = "cache.invalidation_requested", "cache invalidation asked for"
    USER_REGISTERED = "user.registered", "user registered"
    USER_LOGGED_IN = "user.logged_in", "user logged in"
    USER_PROFILE_UPDATED = "user.profile_updated", "user changed their profile"
    USER_ACTIVITY = "user.activity", "something a user did"
    PERFORMANCE_METRIC = "performance.metric", "measurement"
    NOTIFICATION_REQUESTED = "notification.requested", "notification asked for"
    BUSINESS_EVENT = "business.event", "business news"


# What an audit entry's `action` can be, besides the names of the apps' own events and actions.
AUDIT_ACTIONS = (
    EventType.MODEL_CREATED,
    EventType.MODEL_UPDATED,
    EventType.MODEL_SOFT_DELETED,
    EventType.MODEL_RESTORED,
    EventType.MODEL_DELETED,
    EventType.PLATFORM_FEE_CHANGED,
    EventType.PLATFORM_FEE_PLANNED,
    EventType.AUDIT_EVENT,
    EventType.SYSTEM_ERROR,
    EventType.INTEGRATION_EVENT,
    EventType.USER_REGISTERED,
    EventType.USER_LOGGED_IN,
    EventType.USER_PROFILE_UPDATED,
    EventType.BUSINESS_EVENT,
)
AUDIT_ACTION_CHOICES = [(action.value, action.label) for action in AUDIT_ACTIONS]


class NotificationChannel(models.TextChoices):
    """The ways to reach a person."""

    IN_APP = "in_app", "in the app"
    SMS = "sms", "SMS"
    EMAIL = "email", "e-mail"


class NotificationStatus(models.TextChoices):
    """How far a notification has come."""

    PENDING = "pending", "pending"
    SENDING = "sending", "being sent"
    SENT = "sent", "sent"
    LOGGED = "logged", "only logged"
    FAILED = "failed", "failed"
    UNKNOWN = "unknown", "outcome unknown"
    SUPPRESSED = "suppressed", "not wanted"


class QueueName(models.TextChoices):
    """The queues that the workers of this system consume."""

    DEFAULT = "default", "everything else"
    NOTIFICATIONS = "notifications", "notifications"
    AUDIT = "audit", "audit log"
    ANALYTICS = "analytics", "analytics"
    CACHE = "cache", "cache"
    LOGS = "logs", "request logs"


class Role(models.TextChoices):
    """What people are, the highest first: each role has everything that those below it have."""

    ADMIN = "admin", "administrator"
    MODERATOR = "moderator", "moderator"
    USER = "user", "user"
    GUEST = "guest", "guest"
