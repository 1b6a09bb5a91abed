"""Who may send requests with a token, and for which tenant."""

__all__ = [
    "JWT_AUDIENCE",
    "JWT_DEFAULT_KEY",
    "JWT_ISSUER",
    "JWT_KEYS",
    "JWT_LEEWAY_SECONDS",
    "JWT_ROLES_CLAIM",
    "TENANT_ACCESS",
    "TENANT_CLAIM",
    "TENANT_DOMAIN",
    "TENANT_SOURCE",
]

import json
from pathlib import Path
from typing import Any

from .environment import env

_HINT = 'Use {"2026-01": {"algorithm": "ES256", "key": "-----BEGIN PUBLIC KEY-----..."}}.'


def _keys(name: str) -> dict[str, Any]:
    """Return the keys in the file that the variable names, without repeating what is in it."""
    path = env.text(name)
    try:
        found = json.loads(Path(path).read_text()) if path else {}
    except OSError as error:
        env.report(name, f"cannot be read: {error.strerror}.", "Use the path of a JSON file.")
        return {}
    except ValueError:
        env.report(name, "is not JSON.", _HINT)
        return {}
    if not isinstance(found, dict):
        env.report(name, "is not a JSON object.", _HINT)
        return {}
    return found


_secret = env.text("JWT_SECRET")
JWT_KEYS = _keys("JWT_KEYS_FILE")
if _secret:
    JWT_KEYS = {"default": {"algorithm": "HS256", "key": _secret}, **JWT_KEYS}
# The key of tokens that name none.
JWT_DEFAULT_KEY = env.text("JWT_DEFAULT_KEY", "default" if _secret else "")
JWT_ISSUER = env.words("JWT_ISSUER")
JWT_AUDIENCE = env.words("JWT_AUDIENCE")
JWT_LEEWAY_SECONDS = env.seconds("JWT_LEEWAY_SECONDS", 10)
# Empty: roles are those of groups only, whatever a token says.
JWT_ROLES_CLAIM = env.text("JWT_ROLES_CLAIM")

TENANT_SOURCE = env.text("TENANT_SOURCE", "claim")
TENANT_CLAIM = env.text("TENANT_CLAIM", "tenant_id")
TENANT_DOMAIN = env.text("TENANT_DOMAIN")
TENANT_ACCESS = env.text("TENANT_ACCESS")
