"""What is measured: what people do, and what apps add with `track`."""

from __future__ import annotations

from typing import Any

import orjson

from core.events import Backoff, Discard, Event, EventSignal
from workers.growing_route import GrowingRoute
from workers.redaction import to_json

from .anonymise import NOBODY, anonymous, person
from .conf import conf
from .posthog import send


def capture(events: list[Event]) -> None:
    """Send events to PostHog, which recognises a repeat by its uuid."""
    if not conf.enabled:
        raise Discard("POSTHOG_API_KEY is not set any more")
    send([_captured(event) for event in events])


def _captured(event: Event) -> dict[str, Any]:
    distinct_id = person(event)
    properties = anonymous(event)
    if distinct_id == NOBODY:
        properties["$process_person_profile"] = False
    properties["$geoip_disable"] = True
    return {
        "event": event.name,
        "distinct_id": distinct_id,
        "uuid": str(event.id),
        "timestamp": event.occurred_at.isoformat(),
        # Amounts as numbers, since text cannot be added up.
        "properties": orjson.loads(to_json(properties, decimal=float)),
    }


_captured_events = GrowingRoute(
    capture,
    name="analytics.capture",
    queue="analytics",
    batch_size=500,
    backoff=Backoff(first=2),
    # Longer than PostHog may take: the SDK tries to connect three times.
    lease=25,
    # Decided when fired: without a key there is not even a delivery.
    when=lambda event: conf.enabled,
)


def track(*signals_or_globs: EventSignal | str) -> None:
    """Send these events to PostHog as well: one line in the `routes.py` of an app."""
    _captured_events.add(*signals_or_globs)


track(
    "user.registered",
    "user.logged_in",
    "user.profile_updated",
    "user.activity",
    "business.event",
    "performance.metric",
    "platform_fee.changed",
)
