"""Sends a batch to PostHog by its SDK's own request function.

The SDK's client queues events for a thread of its own, which does not survive a fork, and in its
synchronous mode swallows every error; this function does neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.events import Retry

from .conf import conf

_PASSING = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 3600.0


def send(batch: Sequence[dict[str, Any]]) -> None:
    """Send events as PostHog takes them: event, distinct_id, uuid, timestamp, properties.

    Raises Retry when PostHog cannot be reached or is busy: that is not the batch's doing, so
    neither is it worth looking for a culprit in it. Raises APIError for anything else.
    """
    # Importing these takes a while; only who sends pays for it.
    from posthog.request import APIError, batch_post
    from requests import exceptions as transport

    try:
        batch_post(conf.api_key, host=conf.host, timeout=conf.timeout, batch=batch)
    except (transport.ConnectionError, transport.Timeout) as error:
        raise Retry from error
    except APIError as error:
        if error.status in _PASSING:
            raise Retry(after=_pause(error.retry_after)) from error
        raise


def _pause(asked_for: float | None) -> float | None:
    return None if asked_for is None else min(max(asked_for, 1.0), _LONGEST_PAUSE)
