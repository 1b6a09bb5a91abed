"""Which field names give away that their values are secrets."""

from __future__ import annotations

import re
from functools import lru_cache

REDACTED = "[redacted]"

# Parts that give a secret away wherever they stand in a name: `passwordHash`, `x-api-key`.
_SECRET_PARTS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "cookie",
    "privatekey",
    "sessionid",
    "sessionkey",
)
# Words too short for that: an "otp" is a secret, a "hotplate" is not.
_SECRET_WORDS = frozenset({"otp", "pin", "cvv", "cvc", "jwt", "csrf"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@lru_cache(maxsize=4096)
def words(name: str) -> frozenset[str]:
    """Return the words of a field's name in lower case: `phoneNumber` is {"phone", "number"}."""
    return frozenset(word.lower() for word in _WORD.findall(name))


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Tell whether a field of this name holds a password, a token, a code or the like."""
    joined = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(part in joined for part in _SECRET_PARTS) or bool(words(name) & _SECRET_WORDS)
