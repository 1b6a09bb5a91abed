"""What a token says, once it is known to be true."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import jwt
from django.conf import settings

from core.exceptions import AuthenticationError
from core.jwt.keys import key_ring

logger = logging.getLogger(__name__)

_MAX_CHARACTERS = 16 * 1024
_TIMES = ("exp", "nbf", "iat")
# What PyJWT lets through besides its own: JSON nested too deep, numbers too large, odd texts.
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)


class InvalidTokenError(AuthenticationError):
    """The token is not valid."""

    default_code = "INVALID_TOKEN"

    def __init__(self, message: object = None, **options: Any) -> None:
        """Take what `AuthenticationError` takes; the challenge for the client is added."""
        super().__init__(message, **options)
        # Only our own texts: a challenge is a header.
        challenge = f'Bearer error="invalid_token", error_description="{self._default_message()}"'
        self.headers.setdefault("WWW-Authenticate", challenge)


class ExpiredTokenError(InvalidTokenError):
    """The token has expired."""

    default_code = "TOKEN_EXPIRED"


def verified_claims(token: str) -> dict[str, Any]:
    """Return the claims of a token that is signed by a key of ours, meant for us, and valid now.

    The algorithm is that of the key, whatever the token says; `exp` and `sub` must be there, and
    `iss` and `aud` as `JWT_ISSUER` and `JWT_AUDIENCE` want them. Raises InvalidTokenError, and its
    kind ExpiredTokenError; the reason is in the log. Raises ConfigurationError for bad `JWT_KEYS`.
    """
    keys = key_ring()
    if len(token) > _MAX_CHARACTERS:
        raise refused("longer than 16 KiB")
    try:
        key = keys.find(jwt.get_unverified_header(token).get("kid"))
        if key is None:
            raise refused("of no key in JWT_KEYS")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            audience=_texts("JWT_AUDIENCE"),
            issuer=_texts("JWT_ISSUER"),
            leeway=getattr(settings, "JWT_LEEWAY_SECONDS", 0),
            options={"require": ["exp", "sub"]},
        )
        # PyJWT reads "9_999" as a number.
        if any(isinstance(claims.get(name), str | bool) for name in _TIMES):
            raise refused("with times that are no numbers")
        return claims
    except jwt.ExpiredSignatureError as error:
        raise ExpiredTokenError() from error
    except _UNREADABLE as error:
        raise refused(type(error).__name__) from error


def refused(reason: str) -> InvalidTokenError:
    """Return the error for a token, and log why: the client is not told."""
    logger.info("token refused: %s", reason)
    return InvalidTokenError()


def _texts(name: str) -> list[str] | None:
    value: str | Iterable[str] | None = getattr(settings, name, None)
    if not value:
        return None
    return [value] if isinstance(value, str) else list(value)
