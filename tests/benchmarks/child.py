"""What runs in a driver's process. Imports nothing: the settings must see its environment first."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def set_up(environment: Mapping[str, str]) -> None:
    """Make this a process of Django in the given environment."""
    os.environ.update(environment)
    # Ctrl-C reaches all processes of the terminal; the benchmark itself ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import django  # only now does the environment say which settings

    django.setup()


def call(function: str, arguments: Mapping[str, Any]) -> Any:
    """Call `module.function` of this package."""
    module, _, name = function.rpartition(".")
    return getattr(import_module(f"tests.benchmarks.{module}"), name)(**arguments)
