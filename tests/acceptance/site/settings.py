"""The system's own settings, with the site as its only app."""

import os

from kombu import Queue

from config.settings import *  # noqa: F403 - what is tested is how the system is really set up
from config.settings.celery import QUEUES

INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    "core.events",
    "tests.acceptance.site",
    "django_celery_beat",
]
MIDDLEWARE = ["core.middleware.request_context.RequestContextMiddleware"]
ROOT_URLCONF = "tests.acceptance.site.urls"

# Several runs may share one RabbitMQ: each has queues of its own, which it forgets by itself.
QUEUE_PREFIX = os.environ.get("SITE_QUEUE_PREFIX", "")
CELERY_TASK_QUEUES = [
    Queue(QUEUE_PREFIX + name, routing_key=QUEUE_PREFIX + name, expires=120) for name in QUEUES
]
CELERY_TASK_DEFAULT_QUEUE = f"{QUEUE_PREFIX}default"
