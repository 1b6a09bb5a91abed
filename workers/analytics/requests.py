"""What requests there were: a sample of them, handed to a worker that sends it to PostHog."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from core.handover import Handover

from .anonymise import pseudonym
from .conf import conf

# What an event of this kind is called at PostHog.
EVENT = "request"
TASK = "analytics.send_requests"

_ANYBODY = "anonymous"

handover = Handover("analytics of requests", task=TASK, queue="analytics")


def measure(*, facts: Mapping[str, Any], **_: Any) -> None:
    """Hand over the facts of `core.signals.user_activity.request_measured`, if they are sampled."""
    rate = conf.request_sample_rate
    if conf.enabled and random.random() < rate:
        # The uuid is given here, once, so that PostHog knows a record that comes twice.
        record = {"uuid": str(uuid7()), "at": datetime.now(UTC), "sample_rate": rate}
        handover.hand_over({**facts, **record})


def captured(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as PostHog takes it: nobody's id, and no id by which logs tell who it was."""
    user_id, tenant_id = record["user_id"], record["tenant_id"]
    properties = {
        "method": record["method"],
        "route": record["route"],
        "status": record["status"],
        "duration_ms": record["duration_ms"],
        "sample_rate": record["sample_rate"],
        "tenant": None if tenant_id is None else pseudonym(tenant_id),
        "$geoip_disable": True,
    }
    if user_id is None:
        properties["$process_person_profile"] = False
    return {
        "event": EVENT,
        "distinct_id": _ANYBODY if user_id is None else pseudonym(user_id),
        "uuid": record["uuid"],
        "timestamp": record["at"],
        "properties": properties,
    }
