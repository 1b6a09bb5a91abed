"""The project's own settings, with the benchmark's app in place of the examples."""

import os

from config.settings import *  # noqa: F403  # as the project's own settings re-export theirs
from config.settings import CACHES, INSTALLED_APPS

SIDE = os.environ["BENCH_SIDE"]

INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith("examples.")]
INSTALLED_APPS += ["tests.benchmarks.shop"]
if SIDE == "procrastinate":
    INSTALLED_APPS += ["procrastinate.contrib.django"]

assert CACHES["default"]["BACKEND"].endswith("RedisCache"), "the sides share no memory"
PROCRASTINATE_IMPORT_PATHS = ["tests.benchmarks.sides.procrastinate"]
