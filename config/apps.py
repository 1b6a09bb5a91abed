"""The project as a Django app, so that it can bring checks and a schedule of its own."""

from importlib import import_module

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Makes Celery's app the current one and registers the checks of the settings."""

    name = "config"
    verbose_name = "Signalbox"

    def ready(self) -> None:
        """Load what registers itself on import."""
        import_module("config.celery")
        import_module("config.checks")
