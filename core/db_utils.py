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
    """Return `DATABASES["default"]` from the environment; see `DatabaseConfig.from_environment`."""
    return DatabaseConfig.from_environment(environment, default=default).to_django()
