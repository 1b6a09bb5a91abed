"""The Celery app of this project: `celery -A config.celery worker`."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# SIGTERM then waits `worker_soft_shutdown_timeout` for running tasks and stops; without this it
# waits for them without end. Read once, when billiard is imported.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

from celery import Celery  # after REMAP_SIGTERM
from celery.signals import beat_init, worker_init  # after REMAP_SIGTERM
from django.core.exceptions import ImproperlyConfigured  # after REMAP_SIGTERM

app = Celery("signalbox")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def refuse_bad_environment(**kwargs: Any) -> None:
    """Stop the process when an environment variable cannot be used."""
    from config.checks import require_valid_environment  # needs the settings, not yet loaded above

    try:
        require_valid_environment()
    except ImproperlyConfigured as error:
        # Celery logs and swallows an ordinary exception of a signal handler.
        raise SystemExit(str(error)) from error
