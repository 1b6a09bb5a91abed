"""Arguments that make no request are refused by name, before anything is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clients import HTTPClient, urls
from tests.unit.core.clients.fault_server import FaultServer

NUMBERS = [0, -1, 1e10, float("nan"), float("inf"), "5", None, True, (1, 2, 3), (1, 0), (1,), ()]


@pytest.mark.parametrize("timeout", NUMBERS)
def test_senseless_timeouts(client_of: Any, timeout: Any) -> None:
    """A timeout is seconds above 0, or two of them."""
    with pytest.raises((ValueError, TypeError), match="timeout"):
        client_of(timeout=timeout)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, "3", None, True])
def test_senseless_attempts(client: Any, server: FaultServer, attempts: Any) -> None:
    """Attempts are a whole number from 1."""
    with pytest.raises(ValueError, match="attempts"):
        client.get(server.url, attempts=attempts)
    assert not server.requests


@pytest.mark.parametrize(
    "options",
    [{"deadline": 0}, {"deadline": "1"}, {"backoff": -1}, {"backoff": "1"}, {"backoff": None},
     {"max_response_bytes": 0}, {"max_response_bytes": 1.5}],
)  # fmt: skip
def test_senseless_limits(client: Any, server: FaultServer, options: dict[str, Any]) -> None:
    """Each limit is named with its value."""
    with pytest.raises(ValueError, match=next(iter(options))):
        client.get(server.url, **options)


def test_an_unknown_option(client: Any, client_of: Any, server: FaultServer) -> None:
    """It is named, and so are those that there are."""
    with pytest.raises(TypeError, match="'retries'; the limits are attempts, backoff"):
        client.get(server.url, retries=3)
    with pytest.raises(TypeError, match="'retries'"):
        client_of(retries=3)


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "http://", "http://:80", "http://a b", "http://x:0",
     "http://x:99999", "http://x\\@y", "http://user:pass@host", "user:pass@host", "http://x?a=1",
     "http://[::1"],
)  # fmt: skip
def test_addresses_that_are_none(client: Any, url: Any) -> None:
    """They are refused, without showing credentials."""
    with pytest.raises(ValueError, match=r".") as raised:
        client.get(url, "x")
    assert "pass" not in str(raised.value)


@pytest.mark.parametrize("url", [None, 7, b"http://x", ["http://x"]])
def test_addresses_that_are_no_text(client: Any, url: Any) -> None:
    """The argument is named, since a setting that is not there is None."""
    with pytest.raises(TypeError, match=r"service_url is \w+; give a text"):
        client.get(url, "x")


@pytest.mark.parametrize("option", ["allow_private", "circuit_breaker"])
@pytest.mark.parametrize("value", ["no", 0, None])
def test_switches_that_are_no_bool(client_of: Any, option: str, value: Any) -> None:
    """A text from the environment, such as "no", would be true."""
    with pytest.raises(TypeError, match=f"{option}={value!r}: give True or False"):
        client_of(**{option: value})


@pytest.mark.parametrize("value", [float("nan"), [1.5, float("inf")], {"a": (float("nan"),)}])
def test_numbers_that_json_has_not(client: Any, server: FaultServer, value: Any) -> None:
    """They are refused instead of sent as null."""
    with pytest.raises(ValueError, match="json: NaN and infinity have no JSON form"):
        client.post_json(server.url, json={"none": None, "value": value})
    with pytest.raises(TypeError, match="json: NaN has no JSON form"):
        client.post_json(server.url, json=Decimal("NaN"))
    assert not server.requests


@pytest.mark.parametrize("value", [object(), {"b": 1}, [None], print, float("nan"), Decimal("NaN")])
def test_values_that_are_sent_as_no_text(client: Any, server: FaultServer, value: Any) -> None:
    """A parameter or a field of a form is named, instead of sent as the repr of an object."""
    for name in ("params", "data"):
        with pytest.raises((TypeError, ValueError), match=rf"{name}\['a'\] is "):
            client.post(server.url, **{name: {"a": value}})
    assert not server.requests


def test_the_query_of_a_request_goes_on(client: Any, server: FaultServer) -> None:
    """With all values of a name, not with the last."""
    client.get(server.url, "status/200", params=QueryDict("a=1&a=2&b=3"))
    assert server.last().query == {"a": ["1", "2"], "b": ["3"]}


@pytest.mark.parametrize(
    "endpoint",
    ["//evil.example/x", "http://evil.example/x", "https://127.0.0.1/x", "a b", "a\r\nb"],
)
def test_endpoints_that_leave_the_service(client: Any, server: FaultServer, endpoint: str) -> None:
    """An endpoint does not decide who gets the token."""
    with pytest.raises(ValueError, match="endpoint"):
        client.get(server.url, endpoint, token="abc")
    assert not server.requests


@pytest.mark.parametrize(
    ("base", "endpoint", "joined"),
    [
        ("http://x", "", "http://x"),
        ("http://x", "a", "http://x/a"),
        ("http://x/", "/a", "http://x/a"),
        ("http://x/api/", "a/b/", "http://x/api/a/b/"),
        ("http://x/api", "a?b=http://y", "http://x/api/a?b=http://y"),
        ("http://x:80/api", "http://x/a", "http://x/a"),
    ],
)
def test_joining(base: str, endpoint: str, joined: str) -> None:
    """One slash between; an absolute endpoint of the same origin stands for itself."""
    assert urls.joined(base, endpoint) == joined


@settings(max_examples=50)
@given(st.text(max_size=30))
def test_no_endpoint_leaves_the_service(endpoint: str) -> None:
    """Whatever an endpoint is, it is refused or stays at the service."""
    try:
        url = urls.joined("https://service.example/api", endpoint)
    except ValueError:
        return
    assert urls.origin(url) == "https://service.example:443"


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: b"}, {"X\r\nY": "b"}, {"": "a"}, {"X": 7}, {7: "X"}, {"X Y": "a"}]
)
def test_headers_that_would_end_their_line(client: Any, server: FaultServer, headers: Any) -> None:
    """They are refused by name."""
    with pytest.raises((ValueError, TypeError), match="header"):
        client.get(server.url, headers=headers)


@pytest.mark.parametrize("key", ["", "a" * 256, "a\n", 7])
def test_senseless_idempotency_keys(client: Any, server: FaultServer, key: Any) -> None:
    """A key is 1 to 255 printable characters."""
    with pytest.raises(ValueError, match="idempotency_key"):
        client.post(server.url, idempotency_key=key)


def test_what_is_not_json(client: Any, server: FaultServer) -> None:
    """It is refused by its type."""
    with pytest.raises(TypeError, match=r"json: .*object"):
        client.post_json(server.url, "x", {"a": object()})
    with pytest.raises(TypeError, match="either json or data"):
        client.post(server.url, json={}, data={})


def test_a_token_that_is_none() -> None:
    """A token is a text or a function."""
    with pytest.raises(TypeError, match="token"):
        HTTPClient(token=7)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("method", ["BREW", "TRACE", "", "GET / HTTP/1.1\r\nX: y", None, 7])
def test_methods_that_there_are_not(client: Any, server: FaultServer, method: Any) -> None:
    """They are refused with those that there are."""
    with pytest.raises(ValueError, match="GET, HEAD, POST"):
        client.request(method, server.url)
    assert not server.requests


def test_a_method_in_small_letters(client: Any, server: FaultServer) -> None:
    """It is that method, and repeated as such."""
    assert client.request("get", server.url, "flaky/x", params={"times": 1}).status_code == 200


@pytest.mark.parametrize(
    "endpoint", ["../admin", "users/../../admin", "users/%2e%2E/x", "..", "a/.%2e?b=c"]
)
def test_endpoints_that_climb(client: Any, server: FaultServer, endpoint: str) -> None:
    """Whatever an id in an endpoint is, the call stays under the service's path."""
    with pytest.raises(ValueError, match="leads out of the service's path"):
        client.get(server.url + "/api/v1", endpoint)
    assert not server.requests


@pytest.mark.parametrize("endpoint", [0, None, b"x", ["x"]])
def test_endpoints_that_are_no_text(client: Any, server: FaultServer, endpoint: Any) -> None:
    """Also those that Python takes for nothing."""
    with pytest.raises(TypeError):
        client.get(server.url, endpoint)


@pytest.mark.parametrize("data", [iter([b"a"]), object(), 7, {1, 2}])
def test_bodies_that_cannot_be_sent_twice(client: Any, server: FaultServer, data: Any) -> None:
    """A second attempt would send what is left of it: nothing."""
    with pytest.raises(TypeError, match="data is"):
        client.put(server.url, data=data)


@pytest.mark.parametrize("params", ["a=b", 7, {1, 2}, ["ab"]])
def test_senseless_parameters(client: Any, server: FaultServer, params: Any) -> None:
    """Parameters are a mapping or pairs."""
    with pytest.raises(TypeError, match="params"):
        client.get(server.url, params=params)


@pytest.mark.parametrize(
    "headers",
    [{"X": "für"}, {"X": "a\x01"}, {"X(": "a"}, {"Content-Length": "7"}, [("X", "a")],
     {"transfer-encoding": "chunked"}],
)  # fmt: skip
def test_headers_that_libraries_read_differently(
    client: Any, server: FaultServer, headers: Any
) -> None:
    """Both clients refuse them, and what would frame the request in another way."""
    with pytest.raises((ValueError, TypeError), match="header"):
        client.get(server.url, headers=headers)
    assert not server.requests


@pytest.mark.parametrize(("verify", "error"), [(None, TypeError), ("/no/such/file", ValueError)])
def test_senseless_certificates(client_of: Any, verify: Any, error: type[Exception]) -> None:
    """A bundle that is not there is no outage."""
    with pytest.raises(error, match="verify"):
        client_of(verify=verify)


def test_a_secret_query_is_not_in_the_refusal(client: Any, server: FaultServer) -> None:
    """An endpoint is shown without it."""
    with pytest.raises(ValueError, match="endpoint") as raised:
        client.get(server.url, "x?key=s3cr3t y")
    assert "s3cr3t" not in str(raised.value)
