"""Request logs as a Django app."""

from importlib import import_module

from django.apps import AppConfig


class LogsConfig(AppConfig):
    """Request logs: sinks, the table and its retention."""

    name = "workers.logs"
    label = "signalbox_logs"
    verbose_name = "Signalbox: request logs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks of the settings."""
        import_module("workers.logs.checks")
