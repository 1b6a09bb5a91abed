"""The settings of the system, with an app whose models only tests use."""

from config.settings import *  # noqa: F403 - these are those settings
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.sample"]
# A line in the log; workers that would write anything else are not there.
REQUEST_LOG_SINKS = ["none"]
# Django's default is slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
