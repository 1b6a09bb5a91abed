"""System checks: settings of tokens that cannot be meant so. No secret is ever shown."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

_HINT = (
    'JWT_KEYS = {"2026-01": {"algorithm": "HS256", "key": "<at least 32 random characters>"}}; '
    "for RS256, ES256 and EdDSA `key` is the public key in PEM."
)


def check_tokens(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report keys that cannot be used or are weak, and other settings of tokens."""
    # Importing PyJWT takes a while; only who checks or verifies pays for it.
    from core.jwt.keys import read_keys

    _, problems = read_keys()
    found: list[CheckMessage] = [
        Error(f"{name}: {text}.", hint=_HINT, id="core.E040") for name, text in problems.items()
    ]
    for name in ("JWT_ISSUER", "JWT_AUDIENCE"):
        if not _is_texts(getattr(settings, name, None) or ()):
            hint = 'Use "https://issuer.example" or a list of such texts.'
            found.append(Error(f"{name} must be texts.", hint=hint, id="core.E041"))
    leeway = getattr(settings, "JWT_LEEWAY_SECONDS", 0)
    is_number = isinstance(leeway, int | float) and not isinstance(leeway, bool)
    if not is_number or not 0 <= leeway <= 300:
        hint = "Use the seconds that clocks may differ by, such as 10."
        message = f"JWT_LEEWAY_SECONDS must be from 0 to 300, got {leeway!r}."
        found.append(Error(message, hint=hint, id="core.E042"))
    return found


def _is_texts(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, list | tuple | set) and all(isinstance(text, str) for text in value)
