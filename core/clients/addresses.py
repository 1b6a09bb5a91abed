"""Where names lead, in bounded time, and which addresses may be called for somebody else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from concurrent.futures import Future

# Everything else of IPv6 is local, special or unassigned.
_GLOBAL = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedAddress(Exception):
    """The name leads to an address inside the house."""


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet."""
    found = _inner(ipaddress.ip_address(address.partition("%")[0]))
    if isinstance(found, ipaddress.IPv6Address) and (
        found not in _GLOBAL or found in _DOCUMENTATION
    ):
        return False
    return found.is_global and not found.is_multicast


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def looked_up(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host. Raises OSError, or TimeoutError after so many seconds."""
    if _is_literal(host):
        return [host]
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            found.set_result(_resolved(host, port))
        except (OSError, UnicodeError) as error:
            found.set_exception(error)

    # The system's look-up cannot be bounded, only left alone.
    threading.Thread(target=look_up, name="http-lookup", daemon=True).start()
    return found.result(seconds)


def only_public(addresses: list[str]) -> list[str]:
    """Return the addresses; to be connected to as they are, since the name may lead elsewhere soon.

    Raises RefusedAddress if any of them is not public.
    """
    if not all(map(is_public, addresses)):
        raise RefusedAddress("the address is not one of the public internet")
    return addresses


async def looked_up_public(host: str, port: int) -> list[str]:
    """Do as `looked_up` and `only_public` without blocking the event loop."""
    return only_public(await asyncio.to_thread(_resolved, host, port))


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
