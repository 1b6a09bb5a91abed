"""Keys and tokens as an issuer would have them."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = "correct-horse-battery-staple-0123456789-and-a-lot-more-than-that"
OTHER = "another-horse-battery-staple-0123456789-and-a-lot-more-than-that"
_MAKERS: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@cache
def private(algorithm: str) -> Any:
    """Return the issuer's key for an algorithm: the secret, or a private key."""
    return SECRET if algorithm.startswith("HS") else _MAKERS[algorithm]()


@cache
def public(algorithm: str) -> str:
    """Return what verifies: the secret, or the public key in PEM."""
    return SECRET if algorithm.startswith("HS") else pem_of(private(algorithm).public_key())


def pem_of(key: Any) -> str:
    """Return a public key as PEM."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_bytes(serialization.Encoding.PEM, info).decode())


def setting(algorithm: str) -> dict[str, str]:
    """Return what JWT_KEYS holds for the key of an algorithm."""
    return {"algorithm": algorithm, "key": public(algorithm)}


def token(
    sub: Any = "1",
    *,
    kid: str | None = None,
    algorithm: str = "HS256",
    key: Any = None,
    **claims: Any,
) -> str:
    """Return a token that is valid for a minute; a claim of None is left out."""
    now = int(time.time())
    told = {"sub": sub, "exp": now + 60, "iat": now, **claims}
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(
        {name: value for name, value in told.items() if value is not None},
        key if key is not None else private(algorithm),
        algorithm=algorithm,
        headers=headers,
    )
