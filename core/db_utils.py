"""The database of this process, from its environment. Needs no settings: it runs inside them."""

from __future__ import annotations

from typing import Any

from core.config_classes.database import DatabaseConfig
from core.environment import Environment
from core.ipv4 import force_ipv4_database_url

__all__ = ["force_ipv4_database_url", "get_database_config"]


def get_database_config(
    environment: Environment | None = None, *, default: DatabaseConfig | None = None
) -> dict[str, Any]:
    """Return `DATABASES["default"]` from the environment; see `DatabaseConfig.from_environment`.

    Raises ConfigurationError for variables that cannot be used, TypeError for other arguments.
    """
    given = (("environment", environment, Environment), ("default", default, DatabaseConfig))
    for name, value, kind in given:
        if not isinstance(value, kind | None):
            # Not the value: it may be a URL with a password.
            raise TypeError(
                f"{name} must be of type {kind.__name__} or be left out, got "
                f"{type(value).__name__}; DatabaseConfig.from_url(...) reads a URL"
            )
    return DatabaseConfig.from_environment(environment, default=default).to_django()
