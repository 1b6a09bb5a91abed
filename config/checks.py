"""Reports environment variables that cannot be used: in `check` and when a process starts."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env, problems


@register()
def check_environment(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report each environment variable that cannot be used, by name."""
    errors = [Error(p.message, hint=p.hint, obj=p.name, id="config.E001") for p in problems]
    doubts = [Warning(p.message, hint=p.hint, obj=p.name, id="config.W001") for p in env.unknown()]
    return [*errors, *doubts]


def require_valid_environment() -> None:
    """Raise `ImproperlyConfigured`, naming every bad variable, instead of running on a guess."""
    if problems:
        lines = "\n".join(f"  {p.name}: {p.message} {p.hint}" for p in problems)
        raise ImproperlyConfigured(f"Environment variables that cannot be used:\n{lines}")
