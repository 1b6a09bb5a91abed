"""Notifications as a Django app."""

from django.apps import AppConfig

from workers.engine_database import require_engine_database


class NotificationsConfig(AppConfig):
    """Messages to people."""

    name = "workers.notifications"
    label = "signalbox_notifications"
    verbose_name = "Signalbox: notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Check that the table is where it has to be."""
        require_engine_database(self.get_model("Notification"))
