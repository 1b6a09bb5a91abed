"""What web processes hand over to workers."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task, shared_task

from core.events import Retry
from core.handover import HandoverTask

from .conf import conf
from .posthog import send
from .requests import TASK, captured

logger = logging.getLogger(__name__)

# Seconds before the second, third and fourth attempt.
_PAUSES = (5.0, 30.0, 120.0)
_LONGEST_PAUSE = 300.0


# PostHog recognises what a process that died had sent already.
@shared_task(base=HandoverTask, name=TASK, bind=True, max_retries=len(_PAUSES))
def send_requests(
    self: Task[Any, None], *, records: list[dict[str, Any]], source: dict[str, Any]
) -> None:
    """Send records of requests to PostHog; after some attempts over minutes they are dropped."""
    if not conf.enabled:
        return
    try:
        send([captured(record) for record in records])
    except Exception as error:
        if not _may_pass(error):
            raise
        if self.request.retries >= len(_PAUSES):
            logger.warning(
                "%d records of requests were dropped: PostHog does not take them", len(records)
            )
            return
        asked = error.after if isinstance(error, Retry) else None
        pause = min(asked or _PAUSES[self.request.retries], _LONGEST_PAUSE)
        raise self.retry(countdown=pause, exc=error) from error


def _may_pass(error: Exception) -> bool:
    # Nothing looks for a culprit in such a batch, so an error of PostHog's own is an outage too.
    return isinstance(error, Retry) or int(getattr(error, "status", 0) or 0) >= 500
