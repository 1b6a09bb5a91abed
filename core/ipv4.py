"""Pins the host of a database URL to an IPv4 address, for networks that cannot route IPv6.

Whoever calls this from settings has no logging yet: only warnings reach standard error then.
"""

from __future__ import annotations

import logging
import re
import socket
from urllib.parse import parse_qs

logger = logging.getLogger(__name__)

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<user>[^/?#]*@)?(?P<hosts>[^/?#@]*)(?P<rest>.*)", re.DOTALL
)
_PLACE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<port>:\d*)?")
_ADDRESS = re.compile(r"[\d.]+")
# Its certificate, and which tenant is meant, hang on the name.
_POOLER = "pooler.supabase.com"


def force_ipv4_database_url(url: str) -> str:
    """Return the URL with each host name replaced by an IPv4 address; all else stays as it is.

    It comes back unchanged, and the log says why, when the host is a pooler of Supabase, when
    `sslmode=verify-full` needs the name, or when the name has no IPv4 address. Sockets, addresses
    and URLs without a host come back as they are, too. Raises TypeError when it is not a text.
    """
    if not isinstance(url, str):
        # Not the value: it may hold a password.
        raise TypeError(f"url must be a text, got {type(url).__name__}")
    parts = _URL.fullmatch(url)
    # An "@" behind the host ends a password with a "/": no lookup, no log of what is before it.
    if parts is None or "@" in parts["rest"].partition("?")[0] or not _has_names(parts["hosts"]):
        logger.info("Database URL left alone: it has no host name.")
        return url
    if _keeps_its_name(parts["hosts"], parts["rest"]):
        return url
    try:
        hosts = ",".join(_pinned(place) for place in parts["hosts"].split(","))
    except (OSError, UnicodeError, IndexError) as error:
        logger.warning(
            "Database host %s left alone: it has no IPv4 address (%s).", parts["hosts"], error
        )
        return url
    logger.info("Database host %s is used as %s.", parts["hosts"], hosts)
    return f"{parts['scheme']}{parts['user'] or ''}{hosts}{parts['rest']}"


def _keeps_its_name(hosts: str, rest: str) -> bool:
    if _POOLER in hosts.lower():
        logger.info("Database host %s left alone: its pooler is known by name.", hosts)
        return True
    query = rest.partition("?")[2].partition("#")[0]
    if "verify-full" in parse_qs(query).get("sslmode", []):
        logger.warning("Database host %s left alone: sslmode=verify-full checks the name.", hosts)
        return True
    return False


def _has_names(hosts: str) -> bool:
    places = [_PLACE.fullmatch(place) for place in hosts.split(",")]
    return any(place and not _ADDRESS.fullmatch(place["name"]) for place in places)


def _pinned(place: str) -> str:
    found = _PLACE.fullmatch(place)
    if found is None or _ADDRESS.fullmatch(found["name"]):
        return place
    answers = socket.getaddrinfo(found["name"], None, socket.AF_INET, socket.SOCK_STREAM)
    return f"{answers[0][4][0]}{found['port'] or ''}"
