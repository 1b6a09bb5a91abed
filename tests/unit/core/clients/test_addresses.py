"""Addresses that users give lead to the public internet only."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from core.clients import addresses
from core.clients.addresses import is_public
from core.exceptions import ExternalServiceError
from tests.unit.core.clients.fault_server import FaultServer


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "::1",
     "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::",
     "224.0.0.1", "100.64.0.1", "ff02::1", "64:ff9b::7f00:1", "::127.0.0.1", "fec0::1",
     "64:ff9b:1::7f00:1", "3fff::1", "5f00::1", "2001:0:7f00:1::", "240.0.0.1"],
)  # fmt: skip
def test_addresses_inside(address: str) -> None:
    """Loopback, private, link-local, shared, multicast, and what is wrapped around them."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "8.8.8.8"])
def test_addresses_outside(address: str) -> None:
    """Those of the public internet."""
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433"]
)
def test_the_house_is_not_called(client_of: Any, server: FaultServer, host: str) -> None:
    """However its address is spelled; no connection is made."""
    with pytest.raises(ExternalServiceError):
        client_of(allow_private=False).get(f"http://{host}:{server.port}", attempts=1)
    assert server.connections == 0


def test_all_addresses_of_a_name_must_be_public(
    client_of: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not spoils the name."""

    def look_up(host: str, port: int, **kwargs: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look_up)
    with pytest.raises(ExternalServiceError, match="not one of the public internet"):
        client_of(allow_private=False).get(f"http://shop.example:{server.port}", attempts=1)


def test_what_was_checked_is_what_is_called(
    client_of: Any, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up once, so that it cannot lead elsewhere a moment later."""
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        looked_up.append(str(host))
        return real("127.0.0.1" if host == "shop.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(addresses, "is_public", lambda address: True)
    response = client_of(allow_private=False).get(f"http://shop.example:{server.port}", "x")
    assert response.status_code == 200
    assert server.last().headers["host"] == f"shop.example:{server.port}"
    assert looked_up.count("shop.example") == 1


def test_a_redirect_into_the_house(
    client_of: Any, server: FaultServer, elsewhere: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is checked."""
    monkeypatch.setattr(addresses, "is_public", lambda address: not server.requests)
    with pytest.raises(ExternalServiceError, match="not one of the public internet"):
        client_of(allow_private=False).get(server.url, "redirect", params={"to": elsewhere.url})
    assert elsewhere.connections == 0
