"""The project as a Django app, so that it can bring checks and a schedule of its own."""

import logging
from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import post_migrate

from config.settings.environment import env
from core.config_classes import DatabaseConfig
from core.exceptions import ConfigurationError

logger = logging.getLogger(__name__)


class ConfigConfig(AppConfig):
    """Makes Celery's app the current one and registers the settings' checks and the schedule."""

    name = "config"
    verbose_name = "Signalbox"

    def ready(self) -> None:
        """Load what registers itself on import and have the schedule follow each `migrate`."""
        import_module("config.celery")
        import_module("config.checks")
        log_database_host()
        beat = apps.get_app_config("django_celery_beat")
        post_migrate.connect(_synchronise_schedule, sender=beat, dispatch_uid="config.schedule")


def log_database_host() -> None:
    """Log which address the host of DATABASE_URL became: settings load before logging works."""
    try:
        named = DatabaseConfig.from_url(env.text("DATABASE_URL")).host
    except ConfigurationError:  # without a URL, or reported by the checks
        return
    used = settings.DATABASES.get("default", {}).get("HOST", "")
    if not named or not used:
        return
    if used != named:
        logger.info("Database host %s is used as %s.", named, used)
    elif env.is_set("FORCE_IPV4_DB"):
        logger.info("Database host %s is used by this name.", named)


def _synchronise_schedule(using: str, **kwargs: Any) -> None:
    from config.schedule import belongs_into, synchronise  # models exist only after set-up

    if belongs_into(using):
        synchronise(using=using)
