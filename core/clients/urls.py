"""Where a call goes, and what of that may be shown."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from string import punctuation
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit
from uuid import UUID

from django.utils.datastructures import MultiValueDict
from django.utils.functional import Promise

_PORTS = {"http": 80, "https": 443}
# Blanks and control characters, which could end a line of the request.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")
# Libraries and servers resolve it, and so would leave the service's path.
_UPWARDS = re.compile(r"(^|/)(\.|%2e){2}(/|$)", re.IGNORECASE)

# What a parameter may be, and what holds several.
_VALUES = (str, bytes, int, float, Decimal, UUID, date, time, Promise)
_SEVERAL = (list, tuple, set, frozenset)

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]


def joined(service_url: str, endpoint: str) -> str:
    """Return the address of an endpoint: one slash between, a query of the service's is kept out.

    Raises ValueError for an address that is not http(s), has credentials in it, or leaves the
    service: an endpoint must not decide which host gets the token, nor climb out of its path.
    """
    for name, value in (("service_url", service_url), ("endpoint", endpoint)):
        if not isinstance(value, str):
            raise TypeError(f"{name} is {type(value).__name__}; give a text")
    return _joined(service_url, endpoint)


@lru_cache(maxsize=1024)
def _joined(service_url: str, endpoint: str) -> str:
    base = _parsed(service_url)
    if base.query or base.fragment:
        raise ValueError(f"{shown(service_url)}: a service URL has no query; use params")
    # Without its query, which may be secret.
    named = f"endpoint {endpoint.partition('?')[0][:200]!r}"
    if _FORBIDDEN.search(endpoint):
        raise ValueError(f"{named}: blanks and control characters must be quoted")
    if _UPWARDS.search(re.split(r"[?#]", endpoint)[0]):
        raise ValueError(f"{named}: '..' leads out of the service's path")
    if not endpoint:
        return service_url
    if "://" in endpoint.partition("?")[0] or endpoint.startswith("//"):
        joint = urljoin(service_url, endpoint)
    else:
        joint = f"{service_url.rstrip('/')}/{endpoint.lstrip('/')}"
    if origin(joint) != origin(service_url):
        raise ValueError(f"endpoint {shown(joint)} is on another host than {origin(service_url)}")
    return joint


def with_params(url: str, params: Params | None) -> str:
    """Return the address with these parameters added to its query; those that are None left out.

    A value may be a list, for a parameter that comes several times. Raises TypeError for what is
    neither a mapping nor pairs.
    """
    url = url.partition("#")[0]
    query = encoded("params", params)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def encoded(name: str, values: Params | None) -> str:
    """Return names and values as a form has them.

    Raises TypeError for what is neither, and for a value that would only be sent as its repr;
    ValueError for a number that is none.
    """
    if values is None:
        return ""
    if not isinstance(values, Mapping | list | tuple):
        raise TypeError(f"{name} is {type(values).__name__}; give a mapping, or pairs")
    pairs = list(_pairs(values) if isinstance(values, Mapping) else values)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise TypeError(f"{name}: give pairs of name and value")
    pairs = [pair for pair in pairs if pair[1] is not None]
    for key, value in pairs:
        for each in value if isinstance(value, _SEVERAL) else (value,):
            _check_value(f"{name}[{key!r}]", each)
    return urlencode(pairs, doseq=True)


def _pairs(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    # Of a request's query or form, whose items() has only the last value of each.
    return values.lists() if isinstance(values, MultiValueDict) else values.items()


def _check_value(name: str, value: Any) -> None:
    if not isinstance(value, _VALUES):
        raise TypeError(
            f"{name} is {type(value).__name__}; give a text, a number, a UUID, a date, or a list "
            "of these"
        )
    if isinstance(value, float | Decimal) and not isfinite(value):
        raise ValueError(f"{name} is {value}, which is no number")


def redirected(url: str, location: str) -> str:
    """Return where a redirect leads. Raises ValueError if that is no http(s) address."""
    if not location.isascii():
        # Servers send UTF-8, which requests reads as Latin-1.
        with contextlib.suppress(UnicodeError):
            location = location.encode("latin-1").decode()
    target = urljoin(url, location)
    _parsed(target)
    return target.partition("#")[0]


@lru_cache(maxsize=1024)
def origin(url: str) -> str:
    """Return scheme, host and port: what shares a circuit, and what may see a token."""
    parts = _parsed(url)
    return f"{parts.scheme}://{_host(parts)}:{parts.port or _PORTS[parts.scheme]}"


@lru_cache(maxsize=1024)
def service(url: str) -> str:
    """Return host and port as they are shown."""
    parts = _parsed(url)
    return f"{_host(parts)}{_port(parts)}"


def path(url: str) -> str:
    """Return the path without the query, which may hold secrets."""
    return _plain(urlsplit(url).path) or "/"


def shown(url: str) -> str:
    """Return the address without credentials, query and fragment."""
    try:
        parts = urlsplit(url)
        if not parts.netloc:
            # What stands before a colon may be a user's name, and what follows a password.
            named = re.split(r"[?#]", url)[0][:200]
            return "an address without a host" if "@" in named else repr(named)
        return f"{parts.scheme}://{_host(parts)}{_port(parts)}{_plain(parts.path)}"[:200]
    except (ValueError, AttributeError, TypeError):
        return "an address that cannot be read"


def _plain(path: str) -> str:
    # Some characters outside of ASCII end a line, too.
    return path if path.isascii() else quote(path, safe=punctuation)


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host


def _port(parts: SplitResult) -> str:
    try:
        return f":{parts.port}" if parts.port else ""
    except ValueError:
        # No number, so whatever it is may be part of a password.
        return ""


def _parsed(url: str) -> SplitResult:
    if not isinstance(url, str) or _FORBIDDEN.search(url) or "\\" in url:
        raise ValueError(f"{shown(url)}: not an address; blanks and the like must be quoted")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ValueError(f"{shown(url)}: {error}") from None
    if not usable:
        raise ValueError(f"{shown(url)}: give an address such as https://host:8000/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{shown(url)}: credentials go into token= or headers=, not the address")
    return parts
