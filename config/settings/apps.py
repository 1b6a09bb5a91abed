"""Which apps make up the system."""

__all__ = ["DEFAULT_AUTO_FIELD", "INSTALLED_APPS"]

INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    "core",
    "core.events",
    "workers.notifications",
    "workers.audit",
    "workers.analytics",
    "workers.cache",
    "workers.logs",
    "examples.tickets",
    "django_celery_beat",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
