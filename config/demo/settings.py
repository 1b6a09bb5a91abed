"""The settings of the system, with one app more: the demo's own."""

from config.settings import *  # noqa: F403 - these are those settings
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "config.demo"]
