from __future__ import annotations

import logging
import os
import signal
from typing import Any

from celery import Task, chain, group, shared_task

from core.context import current_context

logger = logging.getLogger(__name__)


@shared_task(name="site.remind")
def remind(**kwargs: Any) -> None:
    """Say that it ran, and what it was given."""
    logger.info("reminded of %s", kwargs)


@shared_task(name="site.look")
def look(*, step: str) -> None:
    """Log the context of this run."""
    context = current_context()
    facts = {"actor": context.actor_id, "tenant": context.tenant_id, "cause": context.causation_id}
    logger.info("looked", extra={"step": step, **facts})


@shared_task(name="site.look_twice", bind=True, max_retries=1)
def look_twice(self: Task) -> None:
    """Log the context, fail, log it again and fail for good."""
    look(step=f"attempt {self.request.retries}")
    raise self.retry(countdown=0.1, exc=ValueError("no"))


@shared_task(name="site.die")
def die() -> None:
    """End the process that runs it, as a kernel without memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


def send_all() -> list[str]:
    """Send tasks in all the ways there are; return the steps that they log."""
    chain(look.si(step="first of a chain"), look.si(step="last of a chain")).apply_async()
    group(look.si(step="one of a group"), look.si(step="two of a group")).apply_async()
    look.apply_async(kwargs={"step": "after a countdown"}, countdown=0.2)
    look_twice.apply_async(link_error=look.si(step="after a failure"))
    die.apply_async(link_error=look.si(step="after a death"))
    look.apply(kwargs={"step": "eager"})
    chained = ["first of a chain", "last of a chain", "one of a group", "two of a group"]
    failing = ["attempt 0", "attempt 1", "after a failure"]
    return [*chained, *failing, "after a death", "after a countdown", "eager"]
