"""Which apps make up the system."""

__all__ = ["DEFAULT_AUTO_FIELD", "INSTALLED_APPS"]

import os
from importlib.util import find_spec

OWN_APPS = [
    "core",
    "core.events",
    "workers.notifications",
    "workers.audit",
    "workers.analytics",
    "workers.cache",
    "examples.tickets",
]


def _exists(name: str) -> bool:
    # While the apps are being written: WITHOUT_APPS=examples.tickets,core leaves some out.
    if name in os.environ.get("WITHOUT_APPS", "").split(","):
        return False
    try:
        return find_spec(f"{name}.apps") is not None
    except ModuleNotFoundError:
        return False


INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    *[name for name in OWN_APPS if _exists(name)],
    "django_celery_beat",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
