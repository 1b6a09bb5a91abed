from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Messages to people."""

    name = "workers.notifications"
    label = "signalbox_notifications"
    verbose_name = "Signalbox: notifications"
    default_auto_field = "django.db.models.BigAutoField"
