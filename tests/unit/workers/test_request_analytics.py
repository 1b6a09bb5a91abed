"""Requests at PostHog: a sample, pseudonymous, each once, and nothing without a key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from celery.exceptions import Retry
from django.core.checks import run_checks
from posthog.request import APIError

from config.demo.fakes import Failure, FakeServer
from core.signals.user_activity import request_measured
from workers.analytics import requests
from workers.analytics.anonymise import pseudonym
from workers.analytics.tasks import send_requests

FACTS = {
    "method": "GET",
    "route": "orders/<uuid:pk>",
    "status": 200,
    "duration_ms": 12.5,
    "user_id": "7",
    "tenant_id": "acme",
    "correlation_id": "c-1",
}
SOURCE = {"process": "p", "host": "h", "dropped": 0}


@pytest.fixture
def posthog(fakes: FakeServer, settings: Any) -> FakeServer:
    """A fake PostHog that the settings point to."""
    settings.POSTHOG_API_KEY = "phc_test"
    settings.POSTHOG_HOST = fakes.url
    settings.POSTHOG_TIMEOUT_SECONDS = 0.3
    settings.ANALYTICS_REQUEST_SAMPLE_RATE = 1.0
    return fakes


class Gathered:
    """Stands for the way to the broker, and gives what a worker would get."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def hand_over(self, record: dict[str, Any]) -> None:
        self.messages.append(json.dumps(record, default=datetime.isoformat))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.messages]


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> Gathered:
    """What is handed over."""
    found = Gathered()
    monkeypatch.setattr(requests, "handover", found)
    return found


def measure(count: int = 1, **changes: Any) -> None:
    for _ in range(count):
        request_measured.send(sender=None, facts={**FACTS, **changes})


def run(records: list[dict[str, Any]]) -> None:
    send_requests.run(records=records, source=SOURCE)


def test_a_batch_is_one_request(posthog: FakeServer, gathered: Gathered) -> None:
    """Requests of people, nobody and others; none has an id that says whose it was."""
    measure()
    measure(user_id=None, tenant_id=None)
    run(gathered.records())
    assert posthog.requests("posthog") == 1
    known, unknown = (item.data for item in posthog.received("posthog"))
    assert (known["event"], known["distinct_id"]) == ("request", pseudonym(7))
    assert known["properties"] == {
        "method": "GET",
        "route": "orders/<uuid:pk>",
        "status": 200,
        "duration_ms": 12.5,
        "sample_rate": 1.0,
        "tenant": pseudonym("acme"),
        "$geoip_disable": True,
    }
    assert datetime.fromisoformat(known["timestamp"]).tzinfo
    assert unknown["distinct_id"] == "anonymous"
    assert unknown["properties"]["$process_person_profile"] is False
    assert unknown["properties"]["tenant"] is None


def test_a_message_that_comes_twice(posthog: FakeServer, gathered: Gathered) -> None:
    """PostHog knows each record by its uuid, which differs from record to record."""
    measure(2)
    run(gathered.records())
    run(gathered.records())
    first, second = (UUID(record["uuid"]) for record in gathered.records())
    assert posthog.duplicates("posthog") == {str(first): 2, str(second): 2}


def test_without_a_key_nothing_is_even_gathered(gathered: Gathered, settings: Any) -> None:
    """Nor sent, when the key has gone since."""
    settings.POSTHOG_API_KEY = ""
    measure()
    assert gathered.messages == []
    run([{}])


@pytest.mark.parametrize(
    ("rate", "least", "most"), [(0.0, 0, 0), (0.2, 120, 280), (1.0, 999, 1000)]
)
def test_a_sample(
    rate: float, least: int, most: int, posthog: FakeServer, gathered: Gathered, settings: Any
) -> None:
    """So large a share is taken, and says how large it was."""
    settings.ANALYTICS_REQUEST_SAMPLE_RATE = rate
    measure(1000)
    assert least <= len(gathered.messages) <= most
    assert {record["sample_rate"] for record in gathered.records()} <= {rate}


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, True),
        ({"EVENTS_MODE": "celery"}, False),
        ({"POSTHOG_API_KEY": ""}, False),
        ({"ANALYTICS_REQUEST_SAMPLE_RATE": 0.0}, False),
    ],
)
def test_requests_that_nobody_would_send_are_reported(
    changes: dict[str, Any], warned: bool, posthog: FakeServer, settings: Any
) -> None:
    """Where events need no worker, measured requests still do."""
    settings.EVENTS_MODE = "inline"
    for name, value in changes.items():
        setattr(settings, name, value)
    found = [each.id for each in run_checks()]
    assert ("signalbox_analytics.W001" in found) == warned


@pytest.mark.parametrize("status", [500, 503])
def test_an_outage_is_waited_for(status: int, posthog: FakeServer, gathered: Gathered) -> None:
    """The batch comes again later, as it was."""
    posthog.fail("posthog", Failure(times=2, status=status))
    measure(3)
    send_requests.apply(kwargs={"records": gathered.records(), "source": SOURCE}).get()
    arrived = [item.key for item in posthog.received("posthog")]
    assert arrived == [record["uuid"] for record in gathered.records()]


def test_an_outage_that_does_not_end(
    posthog: FakeServer, gathered: Gathered, caplog: pytest.LogCaptureFixture
) -> None:
    """In the end the batch is dropped, and a line says how large it was."""
    posthog.fail("posthog", Failure(times=-1, status=503))
    measure(3)
    with caplog.at_level(logging.WARNING, "workers.analytics.tasks"):
        send_requests.apply(kwargs={"records": gathered.records(), "source": SOURCE}).get()
    assert posthog.requests("posthog") == 4
    (line,) = [each for each in caplog.records if each.name == "workers.analytics.tasks"]
    assert line.getMessage().startswith("3 records of requests were dropped")


def test_a_refusal_is_not_repeated(posthog: FakeServer, gathered: Gathered) -> None:
    """A wrong key stays wrong; the task fails, which Flower and the log show."""
    posthog.fail("posthog", Failure(times=-1, status=401))
    measure()
    with pytest.raises(APIError):
        send_requests.apply(kwargs={"records": gathered.records(), "source": SOURCE}).get()
    assert posthog.requests("posthog") == 1


def test_how_long_an_outage_is_waited_for(posthog: FakeServer, gathered: Gathered) -> None:
    """As long as PostHog asks for, within reason."""
    measure()
    for asked, waited in (("40", 40), ("3000", 300), (None, 5)):
        posthog.fail("posthog", Failure(status=429, retry_after=asked))
        with pytest.raises(Retry) as caught, asked_again(gathered.records()):
            run(gathered.records())
        assert caught.value.when == waited


def test_what_is_sent_again_is_not_shown(posthog: FakeServer, gathered: Gathered) -> None:
    """Flower and logs show of the repeat, as of the first message, only how many records it has."""
    measure(3)
    posthog.fail("posthog", Failure(status=503))
    with pytest.raises(Retry), asked_again(gathered.records()) as repeat:
        run(gathered.records())
    assert repeat.call_args.kwargs["argsrepr"] == "()"
    assert repeat.call_args.kwargs["kwargsrepr"] == "{<3 records>}"


@contextmanager
def asked_again(records: list[dict[str, Any]]) -> Iterator[Any]:
    """Run the task as a worker does, without sending the repeat."""
    send_requests.push_request(called_directly=False, retries=0, kwargs={"records": records})
    try:
        with patch.object(send_requests, "signature") as repeat:
            yield repeat
    finally:
        send_requests.pop_request()
