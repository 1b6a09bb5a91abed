"""Where redirects lead, and what does not go along."""

from __future__ import annotations

from typing import Any

import pytest

from core.exceptions import ExternalServiceError
from tests.unit.core.clients.fault_server import FaultServer


def test_a_redirect_is_followed(client: Any, server: FaultServer) -> None:
    """Within the host everything goes along."""
    client.get(server.url, "redirect", params={"to": "/there?a=1"}, token="abc")
    assert (server.last().path, server.last().query) == ("/there", {"a": ["1"]})
    assert server.last().headers["authorization"] == "Bearer abc"


def test_another_host_does_not_get_the_token(
    client: Any, server: FaultServer, elsewhere: FaultServer
) -> None:
    """Neither the token nor any header that may identify the caller."""
    client.post(
        server.url,
        "redirect",
        params={"to": elsewhere.url + "/there", "status": 307},
        token="abc",
        headers={"Cookie": "session=1", "X-Api-Key": "key", "Accept-Language": "de"},
        idempotency_key="order-7",
        data={"a": "1"},
    )
    headers = elsewhere.last().headers
    assert not {"authorization", "cookie", "idempotency-key", "x-api-key"} & headers.keys()
    assert headers["accept-language"] == "de"


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "POST", b"a=1"),
     (308, "POST", b"a=1")],
)  # fmt: skip
def test_the_method_of_the_next_request(
    client: Any, server: FaultServer, status: int, method: str, body: bytes
) -> None:
    """307 and 308 repeat the request, the others ask for the result."""
    client.post(server.url, "redirect", params={"to": "/there", "status": status}, data={"a": "1"})
    assert (server.last().method, server.last().body) == (method, body)


def test_a_loop_ends(client: Any, server: FaultServer) -> None:
    """After five redirects, once, without further attempts."""
    with pytest.raises(ExternalServiceError, match="more than 5 redirects"):
        client.get(server.url, "loop")
    assert len(server.requests) == 6


@pytest.mark.parametrize("to", ["http://", "//"])
def test_a_redirect_to_nowhere(client: Any, server: FaultServer, to: str) -> None:
    """It leads to where it came from."""
    with pytest.raises(ExternalServiceError, match="more than 5 redirects"):
        client.get(server.url, "redirect", params={"to": to})


@pytest.mark.parametrize("to", ["file:///etc/passwd", "gopher://x", "http://a b", "http://[::1"])
def test_a_redirect_to_what_is_no_address(client: Any, server: FaultServer, to: str) -> None:
    """It is an error of the service, not tried again, and nothing else is opened."""
    with pytest.raises(ExternalServiceError, match="a redirect to what is no address"):
        client.get(server.url, "redirect", params={"to": to})
    assert len(server.requests) == 1


def test_the_body_of_a_redirect_is_bounded(client: Any, server: FaultServer) -> None:
    """It is read no further than that of an answer; libraries read it to its end."""
    with pytest.raises(ExternalServiceError, match="an answer of more than 100000 bytes"):
        client.get(server.url, "redirect-endless", attempts=1, max_response_bytes=100_000)


def test_a_redirect_without_a_location_is_the_answer(client: Any, server: FaultServer) -> None:
    """There is nowhere to go."""
    assert client.get(server.url, "status/302").status_code == 302


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
@pytest.mark.parametrize("status", [301, 302])
def test_a_change_does_not_become_a_question(
    client: Any, server: FaultServer, method: str, status: int
) -> None:
    """A DELETE that was answered as a GET would look as if it were done."""
    getattr(client, method)(server.url, "redirect", params={"to": "/there", "status": status})
    assert server.last().method == method.upper()


def test_a_lost_body_takes_its_headers_along(client: Any, server: FaultServer) -> None:
    """A GET that says it has JSON has none."""
    client.post_json(server.url, "redirect", {}, params={"to": "/there", "status": 303})
    assert "content-type" not in server.last().headers


def test_a_location_that_is_not_ascii(client: Any, server: FaultServer) -> None:
    """It is read as UTF-8, as servers send it."""
    client.get(server.url, "redirect", params={"to": "/für"})
    assert server.last().path == "/f%C3%BCr"
