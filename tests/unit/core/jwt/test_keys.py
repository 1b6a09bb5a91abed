"""Keys of tokens are checked before they are used, and never shown."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from core.exceptions import ConfigurationError
from core.jwt import Key, key_ring
from core.middleware.token_checks import check_tokens
from tests.unit.core.jwt.signing import SECRET, pem_of, private, public, setting

WEAK_RSA = pem_of(rsa.generate_private_key(65537, 1024).public_key())
PRIVATE = (
    private("ES256")
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)
BAD: dict[str, tuple[Any, str]] = {
    "no mapping": (SECRET, "exactly the fields"),
    "a field too much": (setting("HS256") | {"use": "sig"}, "exactly the fields"),
    "a field too few": ({"key": SECRET}, "exactly the fields"),
    "no algorithm": ({"algorithm": "none", "key": SECRET}, "algorithm must be one of"),
    "unknown algorithm": ({"algorithm": "HS1", "key": SECRET}, "algorithm must be one of"),
    "odd algorithm": ({"algorithm": ["HS256"], "key": SECRET}, "algorithm must be one of"),
    "empty": ({"algorithm": "HS256", "key": ""}, "key must be a text"),
    "bytes": ({"algorithm": "HS256", "key": SECRET.encode()}, "key must be a text"),
    "short": ({"algorithm": "HS256", "key": SECRET[:31]}, "has 31 bytes, HS256 needs 32"),
    "short for its hash": ({"algorithm": "HS512", "key": SECRET[:63]}, "HS512 needs 64"),
    "monotonous": ({"algorithm": "HS256", "key": "abab" * 20}, "repeats"),
    "public as secret": ({"algorithm": "HS256", "key": public("RS256")}, "a public key"),
    "secret as public": ({"algorithm": "ES256", "key": SECRET}, "not a public key"),
    "private": ({"algorithm": "ES256", "key": PRIVATE}, "private key"),
    "other family": ({"algorithm": "RS256", "key": public("ES256")}, "not a public key"),
    "other curve": ({"algorithm": "ES384", "key": public("ES256")}, "not a public key"),
    "small": ({"algorithm": "RS256", "key": WEAK_RSA}, "needs 2048 bits, not 1024"),
}


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "ES256", "ES384", "EdDSA"])
def test_keys_that_can_be_used(algorithm: str) -> None:
    """Shared secrets and public keys; printing one does not show it."""
    key = Key.from_setting("k", setting(algorithm))
    assert repr(key) == f"Key(kid='k', algorithm={algorithm!r})"


@pytest.mark.parametrize("name", BAD)
def test_keys_that_cannot_be_used(name: str, settings: Any) -> None:
    """The check and the start name the key and what is wrong with it, and do not repeat it."""
    value, message = BAD[name]
    settings.JWT_KEYS = {"good": setting("HS256"), "bad": value}
    (found,) = check_tokens(None)
    assert found.id == "core.E040"
    assert found.msg.startswith("JWT_KEYS['bad']: ")
    assert message in found.msg
    with pytest.raises(ConfigurationError, match=r"JWT_KEYS\['bad'\]") as raised:
        key_ring()
    for told in (found.msg, str(raised.value), str(raised.value.details)):
        assert SECRET[:31] not in told
        assert "BEGIN" not in told


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("JWT_KEYS", [SECRET], "core.E040"),
        ("JWT_KEYS", {1: setting("HS256")}, "core.E040"),
        ("JWT_DEFAULT_KEY", "unknown", "core.E040"),
        ("JWT_ISSUER", 5, "core.E041"),
        ("JWT_AUDIENCE", [5], "core.E041"),
        ("JWT_LEEWAY_SECONDS", -1, "core.E042"),
        ("JWT_LEEWAY_SECONDS", "10", "core.E042"),
        ("JWT_LEEWAY_SECONDS", 3600, "core.E042"),
    ],
)
def test_other_settings(name: str, value: Any, check: str, settings: Any) -> None:
    """Each is named by the check."""
    setattr(settings, name, value)
    (found,) = check_tokens(None)
    assert found.id == check
    assert name in found.msg
    assert SECRET not in found.msg


def test_the_settings_of_the_system_pass() -> None:
    """As they are, without any key."""
    assert check_tokens(None) == []


def test_changed_keys_count_at_once(settings: Any) -> None:
    """Tests that change the setting see the change."""
    settings.JWT_KEYS = {"a": setting("HS256")}
    assert key_ring().find("a") is not None
    settings.JWT_KEYS = {"b": setting("HS256")}
    assert key_ring().find("a") is None


def test_tokens_that_name_no_key(settings: Any) -> None:
    """They are for the default key, if there is one."""
    settings.JWT_KEYS = {"a": setting("HS256"), "b": setting("ES256")}
    assert key_ring().find(None) is None
    settings.JWT_DEFAULT_KEY = "b"
    found = key_ring().find(None)
    assert found is not None
    assert found.kid == "b"
