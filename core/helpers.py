"""Small functions that any app needs: tokens, hashes, addresses, page numbers."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from functools import lru_cache
from typing import Any, TypedDict
from uuid import UUID

from django.conf import settings
from python_ipware import IpWare

from core.choices import OTP_LENGTH
from core.exceptions import ConfigurationError, ValidationError

_UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE
)
_MAX_TOKEN = 1024
_MAX_OTP = 32
_HASHES = sorted(name for name in hashlib.algorithms_guaranteed if "shake" not in name)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Every hop's address is read by the library: ports, brackets, IPv4 in IPv6, garbage.
_HOPS = IpWare(precedence=("HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"))


class Pagination(TypedDict):
    """Where a page stands among all; pages count from 1."""

    page: int
    page_size: int
    total_items: int
    total_pages: int
    has_next: bool
    has_previous: bool


def generate_token(length: int = 32) -> str:
    """Return a random text of exactly `length` characters that is safe in URLs and as a secret.

    Each character is one of 64, so 32 of them have 192 bits. Raises `ValidationError` unless
    `length` is a whole number from 1 to 1024.
    """
    require_whole("length", length, 1, _MAX_TOKEN)
    return secrets.token_urlsafe(length)[:length]


def generate_otp(length: int = OTP_LENGTH) -> str:
    """Return a random code of exactly `length` digits.

    Raises `ValidationError` unless `length` is a whole number from 1 to 32.
    """
    require_whole("length", length, 1, _MAX_OTP)
    return "".join(secrets.choice("0123456789") for _ in range(length))


def hash_string(text: str, algorithm: str = "sha256") -> str:
    """Return the hex digest of a text, as UTF-8.

    Not for passwords: Django's `make_password` is slow on purpose. Raises `ValidationError` for
    an unknown algorithm, or what is not a text.
    """
    if algorithm not in _HASHES:
        raise ValidationError(
            f"algorithm {shortened(algorithm)} is not known; use one of {', '.join(_HASHES)}"
        )
    if not isinstance(text, str):
        raise ValidationError(f"hash_string takes a text, got {type(text).__name__}")
    # Half a surrogate pair, as JSON may bring it, has no UTF-8 of its own.
    return hashlib.new(algorithm, text.encode("utf-8", "surrogatepass")).hexdigest()


def validate_uuid(value: object) -> bool:
    """Tell whether this is a UUID, or a text of one: 32 hexadecimal digits, hyphens in place."""
    if isinstance(value, UUID):
        return True
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def get_client_ip(request: Any) -> str | None:
    """Return the address of the client that sent a request, or None when there is no valid one.

    With `TRUSTED_PROXIES` (addresses or networks) that is the last hop which is none of these:
    nobody can make it up. Without it, it is the best address that `X-Forwarded-For` and
    `REMOTE_ADDR` have (the first public one, else the first): good for statistics, but any client
    can send that header. Ports, brackets and garbage are dropped; IPv4 within IPv6 is unpacked.
    Raises TypeError for what is not a request, `ConfigurationError` for a bad `TRUSTED_PROXIES`.
    """
    meta = getattr(request, "META", None)
    if meta is None:
        raise TypeError(f"get_client_ip takes a request, got {type(request).__name__}")
    trusted = _networks(_proxies(getattr(settings, "TRUSTED_PROXIES", ())))
    if not trusted:
        address, _ = _HOPS.get_client_ip(meta)
        return str(address) if address else None
    hops = [*str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(","), meta.get("REMOTE_ADDR", "")]
    return _last_untrusted([hop for hop in hops if hop], trusted)


def is_trusted_proxy(request: Any) -> bool:
    """Tell whether a request comes directly from one of `TRUSTED_PROXIES`.

    Raises `ConfigurationError` for a bad `TRUSTED_PROXIES`.
    """
    trusted = _networks(_proxies(getattr(settings, "TRUSTED_PROXIES", ())))
    address, _ = _HOPS.get_client_ip({"REMOTE_ADDR": request.META.get("REMOTE_ADDR", "")})
    return address is not None and any(address in network for network in trusted)


def _last_untrusted(hops: list[str], trusted: tuple[Network, ...]) -> str | None:
    client = None
    for hop in reversed(hops):
        address, _ = _HOPS.get_client_ip({"REMOTE_ADDR": hop})
        if address is None:
            break
        client = str(address)
        if not any(address in network for network in trusted):
            break
    return client


def _proxies(value: Any) -> tuple[str, ...]:
    # The library would take the number 10 for 0.0.0.10.
    if isinstance(value, list | tuple | set) and all(isinstance(text, str) for text in value):
        return tuple(value)
    raise ConfigurationError(
        f"TRUSTED_PROXIES must be a list of addresses or networks, got {shortened(value)}"
    )


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise ConfigurationError(
            f"TRUSTED_PROXIES must be addresses or networks such as 10.0.0.0/8: {error}"
        ) from error


def calculate_pagination(total_items: int, page: int = 1, page_size: int = 20) -> Pagination:
    """Return where a page stands: its numbers as given, how many pages there are, what is beside.

    No items make 0 pages; a page beyond the last has nothing after it. Raises `ValidationError`
    unless `total_items` is a whole number from 0 on, `page` and `page_size` from 1 on.
    """
    require_whole("total_items", total_items, 0)
    require_whole("page", page, 1)
    require_whole("page_size", page_size, 1)
    total_pages = -(-total_items // page_size)
    return Pagination(
        page=page,
        page_size=page_size,
        total_items=total_items,
        total_pages=total_pages,
        has_next=page < total_pages,
        has_previous=page > 1,
    )


def require_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise `ValidationError`, with the name and the value, unless this is an int in range."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and least <= value and (most is None or value <= most):  # type: ignore[operator]  # an int
        return
    span = f"from {least} on" if most is None else f"from {least} to {most}"
    raise ValidationError(f"{name} must be a whole number {span}, got {shortened(value)}")


def shortened(value: object, most: int = 60) -> str:
    """Return `repr(value)`, cut after so many characters, for messages."""
    if isinstance(value, int) and value.bit_length() > 4 * most:
        # Python refuses to write out a number of more than 4300 digits.
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
