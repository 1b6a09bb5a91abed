"""System checks: settings of core that cannot be meant so."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from core.exceptions import ConfigurationError
from core.roles import all_roles


def check_roles(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report a list of roles that cannot be used."""
    try:
        all_roles()
    except ConfigurationError as error:
        hint = 'List the names of groups, the highest role first: ["admin", "user"].'
        return [Error(error.message, hint=hint, id="core.E002")]
    return []
