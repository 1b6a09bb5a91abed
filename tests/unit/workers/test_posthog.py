"""PostHog's SDK against a local server: what arrives, and what is tried again."""

from __future__ import annotations

import socket
from decimal import Decimal
from typing import Any

import pytest
from posthog.request import APIError

from config.demo.fakes import Failure, FakeServer
from core.events import Discard, Retry
from workers.analytics.anonymise import pseudonym
from workers.analytics.routes import capture

from .conftest import MakeEvent


@pytest.fixture
def posthog(fakes: FakeServer, settings: Any) -> FakeServer:
    """A fake PostHog that the settings point to."""
    settings.POSTHOG_API_KEY = "phc_test"
    settings.POSTHOG_HOST = fakes.url
    settings.POSTHOG_TIMEOUT_SECONDS = 0.3
    return fakes


def test_a_batch_is_one_request(posthog: FakeServer, make_event: MakeEvent) -> None:
    """A batch goes out at once, each event under its own id and the time when it happened."""
    events = [
        make_event(data={"total": Decimal("9.50"), "email": "ada@example.org"}, actor_id="7")
        for _ in range(3)
    ]
    capture(events)
    assert posthog.requests("posthog") == 1
    received = [item.data for item in posthog.received("posthog")]
    assert [item["uuid"] for item in received] == [str(event.id) for event in events]
    assert received[0] == {
        "event": "order.paid",
        "distinct_id": pseudonym(7),
        "uuid": str(events[0].id),
        "timestamp": "2026-03-01T12:00:00+00:00",
        "properties": {"total": 9.5, "$geoip_disable": True},
    }


def test_what_nobody_caused_makes_no_person(posthog: FakeServer, make_event: MakeEvent) -> None:
    """An event of the system does not become a person at PostHog."""
    capture([make_event(data={})])
    (item,) = posthog.received("posthog")
    assert item.data["distinct_id"] == "system"
    assert item.data["properties"]["$process_person_profile"] is False


def test_a_repeat_has_the_same_uuid_and_time(posthog: FakeServer, make_event: MakeEvent) -> None:
    """By these PostHog drops an event that it has already."""
    event = make_event(data={"total": 1})
    capture([event])
    capture([event])
    first, second = posthog.received("posthog")
    assert first.data == second.data
    assert posthog.duplicates("posthog") == {str(event.id): 2}


@pytest.mark.parametrize(
    "failure",
    [Failure(status=503), Failure(status=429), Failure(drop=True), Failure(delay=0.6)],
)
def test_an_outage_is_waited_for(
    posthog: FakeServer, make_event: MakeEvent, failure: Failure
) -> None:
    """When PostHog is down or busy the whole batch waits; nothing in it is to blame."""
    posthog.fail("posthog", failure)
    with pytest.raises(Retry):
        capture([make_event(data={})])


def test_retry_after_is_obeyed(posthog: FakeServer, make_event: MakeEvent) -> None:
    """The pause that PostHog asks for reaches the engine."""
    posthog.fail("posthog", Failure(status=429, retry_after="30"))
    with pytest.raises(Retry) as caught:
        capture([make_event(data={})])
    assert caught.value.after == 30


def test_nobody_listening_is_an_outage(
    posthog: FakeServer, make_event: MakeEvent, settings: Any
) -> None:
    """A refused connection is waited for as well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.POSTHOG_HOST = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Retry):
            capture([make_event(data={})])


@pytest.mark.parametrize("status", [400, 401, 413, 500])
def test_a_refusal_is_a_failure(posthog: FakeServer, make_event: MakeEvent, status: int) -> None:
    """What PostHog refuses counts as failed, so that the engine looks for the culprit."""
    posthog.fail("posthog", Failure(status=status))
    with pytest.raises(APIError):
        capture([make_event(data={})])


def test_a_key_that_is_gone_is_said(make_event: MakeEvent, settings: Any) -> None:
    """Deliveries made while there was a key are discarded with the reason, not silently."""
    settings.POSTHOG_API_KEY = ""
    with pytest.raises(Discard, match="POSTHOG_API_KEY"):
        capture([make_event(data={})])
