"""The keys that tokens may be signed with: `JWT_KEYS`, checked and prepared once."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.core.signals import setting_changed

from core.exceptions import ConfigurationError

# Bytes that a shared secret must have: as many as the hash (RFC 7518, section 3.2).
SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_FAMILIES = ("RS", "PS", "ES")
ALGORITHMS = (
    *SECRET_BYTES,
    *(f"{family}{bits}" for family in _FAMILIES for bits in (256, 384, 512)),
    "EdDSA",
)
_RSA_BITS = 2048
# As in Django's check of SECRET_KEY: fewer different characters are no secret.
_DIFFERENT_CHARACTERS = 5


@dataclass(frozen=True)
class Key:
    """A key with its name (`kid`) and the one algorithm that it is for."""

    kid: str
    algorithm: str
    material: Any = field(repr=False)

    @classmethod
    def from_setting(cls, kid: Any, value: Any) -> Key:
        """Return the key of one entry of `JWT_KEYS`: a mapping with `algorithm` and `key`.

        `key` is a shared secret for HS256, HS384 and HS512, else a public key in PEM. Raises
        ConfigurationError, never with the key in it, for what cannot be used or is too weak.
        """
        if not isinstance(kid, str) or not kid:
            raise ConfigurationError("the name of a key (its kid) must be a text")
        if not isinstance(value, Mapping) or set(value) != {"algorithm", "key"}:
            raise ConfigurationError("must have exactly the fields algorithm and key")
        algorithm, secret = value["algorithm"], value["key"]
        if algorithm not in ALGORITHMS:
            raise ConfigurationError(f"algorithm must be one of {', '.join(ALGORITHMS)}")
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError("key must be a text")
        load = _shared if algorithm in SECRET_BYTES else _public
        return cls(kid, algorithm, load(algorithm, secret))


@dataclass(frozen=True)
class KeyRing:
    """All keys that are valid now, by name, and the one for tokens that name none."""

    keys: Mapping[str, Key]
    default: str | None = None

    def find(self, kid: str | None) -> Key | None:
        """Return the key of this name, the default one for None; None when there is none."""
        name = self.default if kid is None else kid
        return None if name is None else self.keys.get(name)


@lru_cache(maxsize=1)
def key_ring() -> KeyRing:
    """Return the keys of `JWT_KEYS`, read once. Raises ConfigurationError, naming the bad ones."""
    keys, problems = read_keys()
    if problems:
        lines = "; ".join(f"{name}: {text}" for name, text in problems.items())
        raise ConfigurationError(lines, details=problems)
    return KeyRing(keys, getattr(settings, "JWT_DEFAULT_KEY", None) or None)


def read_keys() -> tuple[dict[str, Key], dict[str, str]]:
    """Return the usable keys of the settings, and what is wrong with others by their names."""
    given = getattr(settings, "JWT_KEYS", None) or {}
    if not isinstance(given, Mapping):
        return {}, {"JWT_KEYS": "must map the name of each key to its algorithm and key"}
    keys: dict[str, Key] = {}
    problems: dict[str, str] = {}
    for kid, value in given.items():
        try:
            keys[kid] = Key.from_setting(kid, value)
        except ConfigurationError as error:
            problems[f"JWT_KEYS[{kid!r}]"] = error.message
    default = getattr(settings, "JWT_DEFAULT_KEY", None)
    if default and default not in given:
        problems["JWT_DEFAULT_KEY"] = "is none of JWT_KEYS"
    return keys, problems


def _shared(algorithm: str, secret: str) -> jwt.PyJWK:
    if len(set(secret)) < _DIFFERENT_CHARACTERS:
        raise ConfigurationError("the secret repeats the same characters")
    octets = secret.encode()
    if len(octets) < SECRET_BYTES[algorithm]:
        raise ConfigurationError(
            f"the secret has {len(octets)} bytes, {algorithm} needs {SECRET_BYTES[algorithm]}"
        )
    try:
        # It refuses public keys: as secrets, everybody would know them.
        jwt.get_algorithm_by_name(algorithm).prepare_key(octets)
    except jwt.InvalidKeyError as error:
        raise ConfigurationError(f"not a secret for {algorithm}: a public key or a JWK") from error
    encoded = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    # Prepared like this, the key is not examined again for each token.
    return jwt.PyJWK({"kty": "oct", "k": encoded}, algorithm)


def _public(algorithm: str, pem: str) -> Any:
    if "PRIVATE KEY" in pem:
        raise ConfigurationError("this is a private key; tokens are verified with the public one")
    try:
        key = load_pem_public_key(pem.encode())
        prepared = jwt.get_algorithm_by_name(algorithm).prepare_key(key)
    except Exception as error:  # each library and key type has its own; none may show the key
        raise ConfigurationError(f"not a public key for {algorithm} in PEM") from error
    if isinstance(prepared, RSAPublicKey) and prepared.key_size < _RSA_BITS:
        raise ConfigurationError(f"an RSA key needs {_RSA_BITS} bits, not {prepared.key_size}")
    return prepared


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in ("JWT_KEYS", "JWT_DEFAULT_KEY"):
        key_ring.cache_clear()


setting_changed.connect(_forget)
