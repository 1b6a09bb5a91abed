"""Which addresses may be called for somebody else: those of the public internet only."""

from __future__ import annotations

import ipaddress
import socket


class RefusedAddress(Exception):
    """The name leads to an address inside the house."""


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet."""
    found = _inner(ipaddress.ip_address(address.partition("%")[0]))
    return found.is_global and not found.is_multicast


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def public_address(host: str, port: int) -> str:
    """Return an address of this host, looked up now, so that it cannot become another one.

    Raises RefusedAddress if any address of it is not public, OSError if it has none.
    """
    found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not all(is_public(str(address)) for address in found):
        raise RefusedAddress("the address is not one of the public internet")
    return str(found[0])
