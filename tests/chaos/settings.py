"""The system's own settings, with one app that only counts."""

import os
from pathlib import Path

from config.settings import *  # noqa: F403 - what is tested is how the system is really set up

INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    "core.events",
    "tests.chaos.effects",
    "django_celery_beat",
    "django.contrib.staticfiles",
]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = __name__
urlpatterns: list[object] = []

# The external effects go to a file: it outlives every process and knows no transaction.
CHAOS_EXTERNAL = Path(os.environ["CHAOS_DIR"]) / "external.jsonl"
