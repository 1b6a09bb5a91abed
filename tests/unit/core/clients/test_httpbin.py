"""The clients against httpbin, whose answers were not written for them."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_httpbin import certs

from core.clients import addresses
from core.exceptions import ExternalServiceError, ServiceTimeoutError


@pytest.mark.parametrize(
    ("path", "key"), [("gzip", "gzipped"), ("deflate", "deflated"), ("get", "url")]
)
def test_encodings(client: Any, httpbin: Any, path: str, key: str) -> None:
    """What is compressed comes out readable."""
    assert client.get_json(httpbin.url, path)[key]


def test_chunks(client: Any, httpbin: Any) -> None:
    """An answer of unknown length is read to its end."""
    assert len(client.get(httpbin.url, "stream-bytes/100000").content) == 100_000


def test_a_bearer_token(client: Any, httpbin: Any) -> None:
    """The token is taken as one."""
    told = client.get_json(httpbin.url, "bearer", token="abc")
    assert told == {"authenticated": True, "token": "abc"}


def test_redirects(client: Any, httpbin: Any) -> None:
    """Relative and absolute ones are followed, up to five."""
    assert client.get_json(httpbin.url, "redirect/3")["url"].endswith("/get")
    assert client.get_json(httpbin.url, "absolute-redirect/5")["url"].endswith("/get")
    with pytest.raises(ExternalServiceError, match="more than 5 redirects"):
        client.get(httpbin.url, "redirect/6")


def test_a_delay(client: Any, httpbin: Any) -> None:
    """An answer that comes too late is a time-out."""
    with pytest.raises(ServiceTimeoutError):
        client.get(httpbin.url, "delay/0.3", attempts=1, timeout=0.1)


def test_forms_and_json(client: Any, httpbin: Any) -> None:
    """Both arrive as what they are."""
    assert client.post(httpbin.url, "post", data={"a": "1"}).json()["form"] == {"a": "1"}
    assert client.post_json(httpbin.url, "post", {"a": [1]})["json"] == {"a": [1]}


def test_tls(client_of: Any, httpbin_secure: Any) -> None:
    """A certificate that nobody vouches for is refused; with its authority it is taken."""
    with pytest.raises(ExternalServiceError, match="TLS") as raised:
        client_of().get(httpbin_secure.url, "get")
    assert raised.value.details["attempts"] == 1
    assert client_of(verify=certs.where()).get(httpbin_secure.url, "get").status_code == 200


def test_tls_to_a_public_address_only(
    client_of: Any, httpbin_secure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is checked against the name, not the address that was looked up."""
    monkeypatch.setattr(addresses, "is_public", lambda address: True)
    client = client_of(verify=certs.where(), allow_private=False)
    named = httpbin_secure.url.replace("127.0.0.1", "localhost")
    assert client.get(named, "get").status_code == 200
