"""What is tried again, how often, and when not."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from core.clients import Backoff, HTTPClient
from core.clients.budget import RESERVE, budgets
from core.clients.call import GetToken, Reply, Send, Wait
from core.exceptions import ExternalServiceError
from tests.unit.core.clients.fault_server import FaultServer


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_passes_is_tried_again(client: Any, server: FaultServer, status: int) -> None:
    """Two failures, then the answer: three attempts."""
    response = client.get(server.url, "flaky/a", params={"times": 2, "status": status})
    assert response.status_code == 200
    assert server.seen["/flaky/a"] == 3


def test_broken_connections_are_tried_again(client: Any, server: FaultServer) -> None:
    """A connection that was dropped is no answer."""
    assert client.get(server.url, "flaky/b", params={"times": 2, "how": "drop"}).status_code == 200


def test_after_the_last_attempt_the_failure_surfaces(client: Any, server: FaultServer) -> None:
    """Three attempts are the default, and the error says how many there were."""
    with pytest.raises(ExternalServiceError) as raised:
        client.get(server.url, "status/503")
    assert server.seen["/status/503"] == raised.value.details["attempts"] == 3


def test_one_attempt_for_one_call(client: Any, server: FaultServer) -> None:
    """A call may ask for fewer than the client's."""
    with pytest.raises(ExternalServiceError):
        client.get(server.url, "status/503", attempts=1)
    assert server.seen["/status/503"] == 1


@pytest.mark.parametrize("status", [400, 401, 404, 409, 500])
def test_what_does_not_pass_is_not_repeated(client: Any, server: FaultServer, status: int) -> None:
    """An answer that says no is an answer."""
    with pytest.raises(ExternalServiceError):
        client.get(server.url, f"status/{status}")
    assert server.seen[f"/status/{status}"] == 1


@pytest.mark.parametrize("method", ["post", "patch"])
def test_what_may_have_happened_is_not_repeated(
    client: Any, server: FaultServer, method: str
) -> None:
    """POST and PATCH are sent once, since the first may have worked."""
    with pytest.raises(ExternalServiceError):
        getattr(client, method)(server.url, "status/503")
    assert server.seen["/status/503"] == 1


def test_with_an_idempotency_key_it_is(client: Any, server: FaultServer) -> None:
    """The service knows a repeat by the key, which stays the same."""
    client.post(server.url, "flaky/c", params={"times": 2}, idempotency_key="order-7")
    assert {r.headers["idempotency-key"] for r in server.requests} == {"order-7"}
    assert len(server.requests) == 3


@pytest.mark.parametrize("after", [7, "date"])
def test_the_service_says_when_to_come_again(after: Any) -> None:
    """Retry-After is waited for, with a little jitter, so that not all come back at once."""
    said = formatdate(time.time() + 8, usegmt=True) if after == "date" else str(after)
    call = HTTPClient(token="")._call("GET", "http://shop.example", "")
    steps, asked = call.steps(), httpx.Request("GET", call.url)
    assert isinstance(next(steps), GetToken)
    assert isinstance(steps.send(""), Send)
    todo = steps.send(Reply(503, {"retry-after": said}, httpx.Response(503, request=asked)))
    assert isinstance(todo, Wait)
    assert 6 <= todo.seconds <= 9
    steps.close()


@pytest.mark.parametrize("after", ["3600", "Wed, 21 Oct 2199 07:28:00 GMT"])
def test_a_pause_past_the_deadline_is_not_waited_for(
    client: Any, server: FaultServer, after: str
) -> None:
    """The failure surfaces at once instead of at the deadline."""
    started = time.monotonic()
    with pytest.raises(ExternalServiceError):
        client.get(server.url, "flaky/e", params={"after": after}, deadline=5)
    assert time.monotonic() - started < 4
    assert server.seen["/flaky/e"] == 1


@pytest.mark.parametrize("after", ["soon", "-1", "1e400", "9" * 400, ""])
def test_a_senseless_retry_after_is_ignored(client: Any, server: FaultServer, after: str) -> None:
    """The client's own pauses are used."""
    response = client.get(server.url, "flaky/f", params={"times": 1, "after": after})
    assert response.status_code == 200


def test_pauses_grow(client: Any, server: FaultServer) -> None:
    """Each is drawn from twice the range of the one before; without jitter they are exact."""
    started = time.monotonic()
    backoff = Backoff(first=0.02, factor=2, limit=1, jitter="none")
    with pytest.raises(ExternalServiceError):
        client.get(server.url, "status/503", attempts=4, backoff=backoff)
    assert time.monotonic() - started >= 0.02 + 0.04 + 0.08


def test_an_outage_is_not_multiplied(client_of: Any, server: FaultServer) -> None:
    """When everything fails, retries are a fraction of the calls, over all clients."""
    clients = [client_of(circuit_breaker=False, backoff=0) for _ in range(2)]
    calls = 40
    for number in range(calls):
        with pytest.raises(ExternalServiceError):
            clients[number % 2].get(server.url, "status/503", attempts=5)
    retries = len(server.requests) - calls
    assert RESERVE <= retries <= RESERVE + 0.2 * calls


def test_a_pause_that_is_too_long_without_a_deadline(client: Any, server: FaultServer) -> None:
    """A service does not decide that a call lasts for years."""
    with pytest.raises(ExternalServiceError):
        client.get(server.url, "flaky/g", params={"after": "999999999"}, deadline=None)
    assert server.seen["/flaky/g"] == 1


@pytest.mark.parametrize("header", ["Retry-After: \xb2", "Retry-After: \xb9\xb2\xb3"])
def test_numbers_that_are_none(client: Any, server: FaultServer, header: str) -> None:
    """Characters that Python takes for digits raise nothing of their own."""
    with pytest.raises(ExternalServiceError):
        client.get(server.url, "raw", params={"header": header})


def test_a_retry_that_does_not_happen_costs_nothing(client: Any, server: FaultServer) -> None:
    """The budget is for those that are sent."""
    for _ in range(20):
        with pytest.raises(ExternalServiceError):
            client.get(
                server.url,
                "status/429",
                attempts=2,
                deadline=1,
                backoff=Backoff(1e6, jitter="none", limit=1e6),
            )
    assert budgets.of(server.url)._balance == RESERVE
