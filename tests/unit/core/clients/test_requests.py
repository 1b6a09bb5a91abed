"""What a call sends and what comes back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from core.clients import HTTPClient, HttpClient
from core.context import event_context
from tests.unit.core.clients.fault_server import FaultServer

CORRELATION = "5f6ab6f6-6c7b-4a0e-9c3c-6a8a1d1c0b11"


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_every_method_arrives(client: Any, server: FaultServer, method: str) -> None:
    """Each method sends what its name says, to the service and endpoint joined by one slash."""
    response = getattr(client, method)(server.url + "/", "/users/7")
    assert response.status_code == 200
    assert (server.last().method, server.last().path) == (method.upper(), "/users/7")


def test_head_has_no_body(client: Any, server: FaultServer) -> None:
    """HEAD is sent and its answer read."""
    assert client.head(server.url, "users").content == b""


@pytest.mark.parametrize("method", ["post_json", "put_json", "patch_json"])
def test_json_goes_and_comes(client: Any, server: FaultServer, method: str) -> None:
    """A body is encoded, amounts and ids as text, and the answer decoded."""
    payload = {"amount": Decimal("1.10"), "id": UUID(CORRELATION), "text": "für"}
    told = getattr(client, method)(server.url, "orders", payload)
    assert told["headers"]["content-type"] == "application/json"
    assert json.loads(told["body"]) == {"amount": "1.10", "id": CORRELATION, "text": "für"}


def test_get_json(client: Any, server: FaultServer) -> None:
    """The answer is decoded; parameters are encoded."""
    told = client.get_json(server.url, "search", params={"q": "a&b", "page": 2})
    assert told["query"] == {"q": ["a&b"], "page": ["2"]}
    assert told["headers"]["accept"] == "application/json"


def test_an_empty_answer_is_none(client: Any, server: FaultServer) -> None:
    """204 has nothing to decode."""
    assert client.get_json(server.url, "empty") is None


def test_a_form(client: Any, server: FaultServer) -> None:
    """`data` is sent as a form."""
    client.post(server.url, "form", data={"a": "1"})
    assert server.last().body == b"a=1"


def test_who_asks_is_told(client: Any, server: FaultServer) -> None:
    """Correlation id, tenant and trace context go along, so that a request can be followed."""
    with event_context(correlation_id=CORRELATION, tenant="acme"):
        client.get(server.url)
    headers = server.last().headers
    assert (headers["x-correlation-id"], headers["x-tenant-id"]) == (CORRELATION, "acme")
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, trace, len(span), flags) == ("00", CORRELATION.replace("-", ""), 16, "01")


def test_without_a_context_nothing_is_made_up(client: Any, server: FaultServer) -> None:
    """There is no correlation id to forward."""
    client.get(server.url)
    assert not {"x-correlation-id", "traceparent", "x-tenant-id"} & server.last().headers.keys()


def test_a_caller_s_header_wins(client: Any, server: FaultServer) -> None:
    """What a caller sets stays, however it is spelled."""
    with event_context(tenant="acme"):
        client.get(server.url, headers={"x-tenant-id": "other"})
    assert server.last().headers["x-tenant-id"] == "other"


def test_headers_of_the_client(client_of: Any, server: FaultServer) -> None:
    """A client's headers go with every call, a call's with that one."""
    client = client_of(headers={"User-Agent": "shop/1"})
    client.get(server.url, headers={"X-More": "1"})
    assert server.last().headers["user-agent"] == "shop/1"
    assert server.last().headers["x-more"] == "1"


def test_cookies_are_not_kept(client: Any, server: FaultServer) -> None:
    """Calls for different people share a client, so what one was given is not sent for the next."""
    client.get(server.url)
    client.get(server.url)
    assert "cookie" not in server.last().headers


def test_connections_are_kept(client: Any, server: FaultServer) -> None:
    """Calls one after another use one connection."""
    for _ in range(5):
        client.get(server.url)
    assert server.connections == 1


def test_credentials_of_netrc_are_not_sent(
    client: Any, server: FaultServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in somebody's home directory does not replace the token."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client.get(server.url, token="abc")
    assert server.last().headers["authorization"] == "Bearer abc"


def test_both_spellings_are_one_class() -> None:
    """`HttpClient` is another name of `HTTPClient`."""
    assert HttpClient is HTTPClient


def test_parameters_are_the_same_for_both(client: Any, server: FaultServer) -> None:
    """They join those of the endpoint; None is left out, a list comes several times."""
    client.get(server.url, "x?a=1#part", params={"b": [2, "3"], "c": None, "d": True, "e": "ü&"})
    assert server.last().query == {"a": ["1"], "b": ["2", "3"], "d": ["True"], "e": ["ü&"]}


def test_a_text_is_sent_as_utf_8(client: Any, server: FaultServer) -> None:
    """As it is, without a content type that nobody gave."""
    client.post(server.url, "x", data="für 5 €")
    assert server.last().body.decode() == "für 5 €"
    assert "content-type" not in server.last().headers


def test_headers_of_the_caller_are_not_replaced(client_of: Any, server: FaultServer) -> None:
    """Neither the kind of the body nor that of the answer, given to the client or the call."""
    client = client_of(headers={"accept": "application/vnd.api+json"})
    client.post_json(server.url, "x", {}, headers={"content-type": "application/vnd.api+json"})
    headers = server.last().headers
    assert headers["accept"] == headers["content-type"] == "application/vnd.api+json"


def test_a_context_that_does_not_fit_a_header(client: Any, server: FaultServer) -> None:
    """It is left out; it neither fails the call nor adds a header."""
    with event_context(tenant="a\r\nX-Evil: 1", correlation_id="ü"):
        client.get(server.url)
    assert not {"x-evil", "x-tenant-id", "x-correlation-id"} & server.last().headers.keys()
