"""The Celery app of this project: `celery -A config.celery worker`."""

import logging.config
import os
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from celery import Celery
from celery.signals import celeryd_init, import_modules, setup_logging, worker_process_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import garbage, redis_transport
from config.checks import require_valid_environment
from core import task_context

redis_transport.install()
task_context.connect()
worker_process_init.connect(garbage.spare)

app = Celery("signalbox")
app.Task.Request = "core.task_requests:ContextRequest"
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@import_modules.connect(sender=app)
def refuse_bad_environment(**kwargs: Any) -> None:
    """Stop a worker, beat or Flower when an environment variable cannot be used."""
    try:
        require_valid_environment()
    except ImproperlyConfigured as error:
        # Celery logs and swallows an ordinary exception of a signal handler.
        raise SystemExit(str(error)) from error


@setup_logging.connect
def configure_logging(**kwargs: Any) -> None:
    """Have workers and beat log as every process does, and Celery bring no handlers."""
    logging.config.dictConfig(settings.LOGGING)


@celeryd_init.connect
def say_in_lines(**kwargs: Any) -> None:
    """Have a worker log what Celery would print as signals come: its shutdown, its stacks."""
    program = sys.modules["celery.apps.worker"]
    logger = logging.getLogger(program.__name__)
    # A handler of a signal may log here: a destination that is just writing leaves the line out.
    vars(program)["safe_say"] = lambda text, *_: logger.info("%s", text)
