"""The project's own settings, with the benchmark's app in place of the examples."""

import os

from config.settings import *  # noqa: F403  # as the project's own settings re-export theirs
from config.settings import CACHES, DATABASES, INSTALLED_APPS
from config.settings.database import _parse, _tuned

SIDE = os.environ["BENCH_SIDE"]

INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith("examples.")]
INSTALLED_APPS += ["tests.benchmarks.shop"]
if SIDE == "procrastinate":
    INSTALLED_APPS += ["procrastinate.contrib.django"]

# Where claims are timed on tables without a past.
if url := os.environ.get("BENCH_EMPTY_DATABASE_URL"):
    DATABASES["empty"] = _tuned(_parse(url))

assert CACHES["default"]["BACKEND"].endswith("RedisCache"), "the sides share no memory"
