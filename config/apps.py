"""The project as a Django app, so that it can bring checks and a schedule of its own."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class ConfigConfig(AppConfig):
    """Makes Celery's app the current one and registers the settings' checks and the schedule."""

    name = "config"
    verbose_name = "Signalbox"

    def ready(self) -> None:
        """Load what registers itself on import and have the schedule follow each `migrate`."""
        import_module("config.celery")
        import_module("config.checks")
        beat = apps.get_app_config("django_celery_beat")
        post_migrate.connect(_synchronise_schedule, sender=beat, dispatch_uid="config.schedule")


def _synchronise_schedule(using: str, **kwargs: Any) -> None:
    from config.schedule import synchronise  # imports models, which exist only after set-up

    synchronise(using=using)
