"""A token counts only if it is signed by a key of ours, meant for us, and valid now."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jwt.api_jws import encode

from core.exceptions import AuthenticationError
from core.jwt import InvalidTokenError, verified_claims
from tests.unit.core.jwt.signing import OTHER, SECRET, public, setting, token

ALGORITHMS = ["HS256", "HS512", "RS256", "ES256", "ES384", "EdDSA"]


@pytest.fixture(autouse=True)
def _keys(settings: Any) -> None:
    settings.JWT_KEYS = {algorithm: setting(algorithm) for algorithm in ALGORITHMS}
    settings.JWT_DEFAULT_KEY = "HS256"
    settings.JWT_LEEWAY_SECONDS = 0


def encoded(value: Any) -> str:
    """Return a part of a token as it stands in it."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: Any, payload: Any, signature: bytes = b"x" * 32) -> str:
    """Return a token of these parts."""
    return f"{encoded(header)}.{encoded(payload)}.{encoded(signature)}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_kind_of_key(algorithm: str) -> None:
    """Found by the name that the token gives."""
    claims = verified_claims(token("42", kid=algorithm, algorithm=algorithm, plan="pro"))
    assert (claims["sub"], claims["plan"]) == ("42", "pro")


def test_a_token_that_names_no_key() -> None:
    """Counts if the default key has signed it."""
    assert verified_claims(token())["sub"] == "1"
    with pytest.raises(InvalidTokenError):
        verified_claims(token(algorithm="ES256"))


def in_a_minute() -> dict[str, Any]:
    """Return the claims of a token that would be valid."""
    return {"sub": "1", "exp": int(time.time()) + 60}


FORGED: dict[str, Callable[[], str]] = {
    "no signature": lambda: jwt.encode(in_a_minute(), None, algorithm="none"),
    "none, by name": lambda: by_hand({"alg": "none", "kid": "HS256"}, in_a_minute(), b""),
    "NONE": lambda: by_hand({"alg": "NoNe", "kid": "HS256"}, in_a_minute(), b""),
    "another secret": lambda: token(key=OTHER),
    "an unknown key": lambda: token(kid="unknown"),
    "another key's name": lambda: token(kid="RS256", algorithm="HS256"),
    "another algorithm of the family": lambda: token(kid="HS256", algorithm="HS512"),
    # The public key is known to all; as a secret it would let everybody sign.
    "the public key as secret": lambda: signed_with_public_key(),
    "a key that it brings": lambda: jwt.encode(
        in_a_minute(), OTHER, headers={"jwk": {"kty": "oct", "k": encoded(OTHER.encode())}}
    ),
    "expired": lambda: token(exp=int(time.time()) - 1),
    "without end": lambda: token(exp=None),
    "end as text": lambda: token(exp="soon"),
    "end as number in a text": lambda: token(exp="9999999999"),
    "end in other digits": lambda: token(exp="\u0669" * 10),
    "beginning as text": lambda: token(nbf="1"),
    "beginning as truth": lambda: token(nbf=True),
    "issued as text": lambda: token(iat="1"),
    "not yet": lambda: token(nbf=int(time.time()) + 60),
    "from the future": lambda: token(iat=int(time.time()) + 60),
    "of nobody": lambda: token(sub=None),
    "a critical extension": lambda: jwt.encode(
        in_a_minute(), SECRET, headers={"crit": ["x"], "x": 1}
    ),
    "for somebody else": lambda: token(aud="another service"),
    "changed": lambda: token()[:-4] + "AAAA",
    "empty": str,
    "garbage": lambda: "garbage",
    "three dots": lambda: "...",
    "a name that is none": lambda: by_hand({"alg": "HS256", "kid": [1]}, in_a_minute()),
    "a header that is none": lambda: by_hand([], in_a_minute()),
    "too deep": lambda: by_hand(b"[" * 5000, in_a_minute()),
    "too long": lambda: token(more="x" * 20_000),
    "not ASCII": lambda: "é.é.é",
    "half a character": lambda: "\udce9.a.b",
}


def signed_with_public_key() -> str:
    """Return a token whose HMAC is made with the text of our public key."""
    head = f"{encoded({'alg': 'HS256', 'kid': 'RS256'})}.{encoded(in_a_minute())}"
    made = hmac.new(public("RS256").encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{encoded(made)}"


@pytest.mark.parametrize("name", FORGED)
def test_what_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """With 401 and a challenge; neither the answer nor the log repeats anything of the token."""
    bad = FORGED[name]()
    with caplog.at_level(logging.DEBUG), pytest.raises(InvalidTokenError) as raised:
        verified_claims(bad)
    error = raised.value
    assert isinstance(error, AuthenticationError)
    assert error.status_code == 401
    assert error.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert error.error_code == ("TOKEN_EXPIRED" if name == "expired" else "INVALID_TOKEN")
    if len(bad) > 3:
        assert bad[:20] not in caplog.text + str(error.to_dict()) + str(error.headers)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "1" * 5000, "1e308"])
def test_odd_numbers_of_a_true_issuer(number: str) -> None:
    """A signed token whose times cannot be read is refused like any other, or ends far away."""
    payload = f'{{"sub": "1", "exp": {number}}}'.encode()
    try:
        verified_claims(encode(payload, SECRET, algorithm="HS256"))
    except InvalidTokenError:
        return
    assert number == "1e308"


def test_clocks_may_differ(settings: Any) -> None:
    """By as much as the settings say."""
    late = token(exp=int(time.time()) - 5)
    settings.JWT_LEEWAY_SECONDS = 30
    assert verified_claims(late)
    settings.JWT_LEEWAY_SECONDS = 1
    with pytest.raises(InvalidTokenError):
        verified_claims(late)


@pytest.mark.parametrize(
    ("name", "value", "claims", "is_good"),
    [
        ("JWT_ISSUER", "https://a", {"iss": "https://a"}, True),
        ("JWT_ISSUER", ["https://a", "https://b"], {"iss": "https://b"}, True),
        ("JWT_ISSUER", "https://a", {"iss": "https://c"}, False),
        ("JWT_ISSUER", "https://a", {"iss": "https"}, False),
        ("JWT_ISSUER", "https://a", {}, False),
        ("JWT_ISSUER", "", {"iss": "https://c"}, True),
        ("JWT_AUDIENCE", "shop", {"aud": "shop"}, True),
        ("JWT_AUDIENCE", ["shop"], {"aud": ["other", "shop"]}, True),
        ("JWT_AUDIENCE", ["shop"], {"aud": "shopping"}, False),
        ("JWT_AUDIENCE", "shop", {}, False),
        ("JWT_AUDIENCE", "", {}, True),
        ("JWT_AUDIENCE", "", {"aud": "shop"}, False),
    ],
)
def test_issuer_and_audience(
    name: str, value: Any, claims: dict[str, Any], is_good: bool, settings: Any
) -> None:
    """What the settings name must be there; what is meant for somebody is for nobody else."""
    setattr(settings, name, value)
    if is_good:
        assert verified_claims(token(**claims))
    else:
        with pytest.raises(InvalidTokenError):
            verified_claims(token(**claims))


def test_keys_are_rotated(settings: Any) -> None:
    """Old and new count side by side, until the old one is taken out."""
    old, new = token(kid="old"), token(kid="new", key=OTHER)
    both = {"old": setting("HS256"), "new": {"algorithm": "HS256", "key": OTHER}}
    settings.JWT_DEFAULT_KEY = ""
    settings.JWT_KEYS = both
    assert verified_claims(old)
    assert verified_claims(new)
    settings.JWT_KEYS = {"new": both["new"]}
    assert verified_claims(new)
    with pytest.raises(InvalidTokenError):
        verified_claims(old)


def test_without_any_key(settings: Any) -> None:
    """No token counts."""
    settings.JWT_KEYS, settings.JWT_DEFAULT_KEY = {}, ""
    with pytest.raises(InvalidTokenError):
        verified_claims(token())


PARTS = st.one_of(
    st.binary(max_size=60).map(encoded),
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "sub", "exp", "crit", "b64", "jwk"]),
        st.one_of(st.none(), st.integers(), st.text(max_size=5), st.sampled_from(ALGORITHMS)),
    ).map(encoded),
    st.text(max_size=30),
)


@given(st.one_of(st.text(), st.lists(PARTS, min_size=2, max_size=4).map(".".join)))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_made_up_counts(text: str) -> None:
    """Whatever stands in the header, it is refused, and with no other error."""
    with pytest.raises(InvalidTokenError):
        verified_claims(text)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_changed_claim(algorithm: str) -> None:
    """One that was changed after signing does not count."""
    head, _, signature = token(kid=algorithm, algorithm=algorithm).split(".")
    with pytest.raises(InvalidTokenError):
        verified_claims(f"{head}.{encoded(in_a_minute() | {'sub': '2'})}.{signature}")
