"""Tokens, hashes, identifiers, addresses and page numbers, also from hostile input."""

from __future__ import annotations

import hashlib
import ipaddress
import string
from typing import Any
from uuid import uuid4

import pytest
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from core.choices import OTP_LENGTH
from core.exceptions import ConfigurationError, ValidationError
from core.helpers import (
    calculate_pagination,
    generate_otp,
    generate_token,
    get_client_ip,
    hash_string,
    is_trusted_proxy,
    validate_uuid,
)

URL_SAFE = set(string.ascii_letters + string.digits + "-_")
NOT_WHOLE = [None, "3", 1.5, True, float("nan"), -1, pytest.param(10**5000, id="huge")]


def request(forwarded: str | None = None, remote: str = "198.51.100.7") -> Any:
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return RequestFactory().get("/", REMOTE_ADDR=remote, **headers)


@pytest.mark.parametrize("length", [1, 31, 32, 33, 1024])
def test_a_token_has_exactly_the_length_asked_for(length: int) -> None:
    """A token has so many characters, each safe in a URL."""
    token = generate_token(length)
    assert len(token) == length
    assert set(token) <= URL_SAFE


def test_tokens_differ() -> None:
    """Two calls give two tokens."""
    assert generate_token(32) != generate_token(32)


def test_a_code_has_digits_only() -> None:
    """A code has as many digits as OTP_LENGTH says, or as asked for."""
    assert len(generate_otp()) == OTP_LENGTH
    code = generate_otp(length=12)
    assert len(code) == 12
    assert set(code) <= set(string.digits)


@pytest.mark.parametrize("length", [*NOT_WHOLE, 0])
@pytest.mark.parametrize("generate", [generate_token, generate_otp])
def test_a_bad_length_is_refused(generate: Any, length: Any) -> None:
    """A length that is no whole number in range is named in the error."""
    with pytest.raises(ValidationError, match="length must be a whole number from 1 to"):
        generate(length)


def test_a_hash_is_the_hex_digest() -> None:
    """The hash is that of the text's UTF-8, by the algorithm of that name."""
    known = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
    assert hash_string("password", algorithm="sha256") == known
    assert hash_string("ä", "md5") == hashlib.md5("ä".encode()).hexdigest()


def test_half_a_surrogate_pair_can_be_hashed() -> None:
    """A text that has no UTF-8 of its own does not break the caller."""
    assert len(hash_string("\ud800")) == 64


@pytest.mark.parametrize("algorithm", ["sha999", "shake_128", "", None, ["sha256"]])
def test_an_unknown_algorithm_is_refused(algorithm: Any) -> None:
    """The error names the algorithm and those that are known."""
    with pytest.raises(ValidationError, match="sha256"):
        hash_string("x", algorithm)


@pytest.mark.parametrize("text", [None, b"bytes", 7])
def test_only_texts_are_hashed(text: Any) -> None:
    """Something else than a text is a mistake."""
    with pytest.raises(ValidationError, match="takes a text"):
        hash_string(text)


@pytest.mark.parametrize(
    "value", ["550e8400-e29b-41d4-a716-446655440000", uuid4(), uuid4().hex, str(uuid4()).upper()]
)
def test_uuids_are_recognised(value: object) -> None:
    """A UUID is one as an object, with hyphens, without, in any case."""
    assert validate_uuid(value) is True


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "",
        None,
        7,
        b"550e8400-e29b-41d4-a716-446655440000",
        "{550e8400-e29b-41d4-a716-446655440000}",
        "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
        "550e8400-e29b-41d4-a716-446655440000\n",
        "550e8400e29b-41d4-a716-4466-55440000",
        "0x550e8400e29b41d4a71644665544_0",
        "\u066550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_what_only_resembles_a_uuid_is_none(value: object) -> None:
    """Python's own parser takes more than the two usual forms; this does not."""
    assert validate_uuid(value) is False


@settings_of_hypothesis(max_examples=50)
@given(st.text(max_size=40))
def test_no_text_breaks_the_check_of_uuids(text: str) -> None:
    """Any text gives a bool, never an exception."""
    assert validate_uuid(text) in (True, False)


def test_the_first_forwarded_address_is_the_client() -> None:
    """Without trusted proxies the header is believed."""
    assert get_client_ip(request("203.0.113.5, 10.0.0.1")) == "203.0.113.5"


def test_without_the_header_the_peer_is_the_client() -> None:
    """REMOTE_ADDR is the address of who connected."""
    assert get_client_ip(request()) == "198.51.100.7"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("garbage, 203.0.113.5", "203.0.113.5"),
        ("203.0.113.5:51234", "203.0.113.5"),
        ("[2001:4860:4860::8888]:443", "2001:4860:4860::8888"),
        ("2001:4860:4860::8888", "2001:4860:4860::8888"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("0.0.0.0", "198.51.100.7"),
        ("unknown", "198.51.100.7"),
        (", ,", "198.51.100.7"),
        ("", "198.51.100.7"),
        ("<script>", "198.51.100.7"),
    ],
)
def test_ports_brackets_and_garbage(forwarded: str, address: str) -> None:
    """Ports and brackets are dropped; what is no address gives way to the next that is."""
    assert get_client_ip(request(forwarded)) == address


def test_no_address_at_all() -> None:
    """A request that came through a unix socket has none."""
    assert get_client_ip(request(remote="")) is None


@pytest.mark.parametrize(
    ("forwarded", "remote", "address"),
    [
        ("1.2.3.4, 203.0.113.5, 10.0.0.1", "10.0.0.2", "203.0.113.5"),
        ("203.0.113.5", "10.0.0.2", "203.0.113.5"),
        ("1.2.3.4", "203.0.113.5", "203.0.113.5"),
        ("1.2.3.4, garbage", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.3, 10.0.0.1", "10.0.0.2", "10.0.0.3"),
        (None, "10.0.0.2", "10.0.0.2"),
        ("2001:db8::7", "fd00::1", "2001:db8::7"),
        ("203.0.113.5", "", "203.0.113.5"),
    ],
)
def test_behind_trusted_proxies(
    settings: Any, forwarded: str | None, remote: str, address: str
) -> None:
    """The client is the last hop that is no trusted proxy; what it sent itself is not believed."""
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "fd00::1"]
    assert get_client_ip(request(forwarded, remote)) == address


@pytest.mark.parametrize("value", [None, 10, "10.0.0.0/8", [10], [None]])
def test_trusted_proxies_are_a_list_of_texts(settings: Any, value: Any) -> None:
    """A setting of another type is named, and never read as an address that nobody meant."""
    settings.TRUSTED_PROXIES = value
    with pytest.raises(ConfigurationError, match="TRUSTED_PROXIES must be a list"):
        get_client_ip(request(None, "10.0.0.1"))


def test_a_bad_trusted_proxy_is_named(settings: Any) -> None:
    """A typing error in the setting does not turn into trust in everybody."""
    settings.TRUSTED_PROXIES = ["10.0.0.0/99"]
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/99"):
        get_client_ip(request())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_who_stands_next_to_us(address: str, expected: bool, settings: Any) -> None:
    """Only the direct neighbour counts, whatever a header says; without proxies nobody does."""
    meta = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": "10.9.9.9"}
    request = RequestFactory().get("/", **meta)
    assert not is_trusted_proxy(request)
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert is_trusted_proxy(request) is expected


def test_only_requests_have_clients() -> None:
    """Anything else is a mistake."""
    with pytest.raises(TypeError, match="takes a request, got str"):
        get_client_ip("203.0.113.5")


@given(st.text(max_size=100), st.sampled_from(["", "10.0.0.1", "8.8.8.8", "nonsense"]))
@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8"]])
def test_whatever_is_sent_the_answer_is_an_address(
    trusted: list[str], forwarded: str, remote: str
) -> None:
    """The result is None or a valid address, whatever the header holds."""
    with override_settings(TRUSTED_PROXIES=trusted):
        address = get_client_ip(request(forwarded, remote))
    assert address is None or ipaddress.ip_address(address)


def test_where_a_page_stands() -> None:
    """The second of five pages has neighbours on both sides."""
    assert calculate_pagination(total_items=100, page=2, page_size=20) == {
        "page": 2,
        "page_size": 20,
        "total_items": 100,
        "total_pages": 5,
        "has_next": True,
        "has_previous": True,
    }


@pytest.mark.parametrize(
    ("total", "page", "size", "pages", "has_next", "has_previous"),
    [
        (0, 1, 20, 0, False, False),
        (1, 1, 20, 1, False, False),
        (21, 1, 20, 2, True, False),
        (21, 2, 20, 2, False, True),
        (100, 10**9, 20, 5, False, True),
        (10**18, 1, 3, 333333333333333334, True, False),
    ],
)
def test_first_last_and_far_pages(
    total: int, page: int, size: int, pages: int, has_next: bool, has_previous: bool
) -> None:
    """Numbers are kept as given, and whole numbers are exact however large."""
    result = calculate_pagination(total, page, size)
    assert (result["page"], result["page_size"]) == (page, size)
    assert result["total_pages"] == pages
    assert (result["has_next"], result["has_previous"]) == (has_next, has_previous)


@pytest.mark.parametrize("value", [None, "3", 1.5, True, float("inf"), -1])
@pytest.mark.parametrize("name", ["total_items", "page", "page_size"])
def test_bad_page_numbers_are_refused(name: str, value: Any) -> None:
    """The error names the argument and the value."""
    with pytest.raises(ValidationError, match=f"{name} must be a whole number .* got"):
        calculate_pagination(**{"total_items": 10, name: value})


def test_page_zero_is_refused() -> None:
    """Pages and sizes count from 1."""
    with pytest.raises(ValidationError, match="page must be a whole number from 1 on, got 0"):
        calculate_pagination(10, page=0)
    with pytest.raises(ValidationError, match="page_size must be a whole number from 1 on"):
        calculate_pagination(10, page_size=0)
