"""The task that gets what was handed over: it outlives its process, and shows no record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Task

from core.handover.broker import hidden


class HandoverTask(Task):  # type: ignore[misc]  # it has no types
    """The base of a task that a handover sends its records to.

        @shared_task(base=HandoverTask, name="measurements.keep", max_retries=3)
        def keep(*, records, source): ...

    When its process is killed, another one gets the records. That counts as a retry: records that
    kill whoever takes them are given up after `max_retries`, with a line in the worker's log.
    Retries, too, show in Flower and in logs how many records there are, and not what they are.
    """

    abstract = True
    ignore_result = True
    acks_late = True
    retry_on_worker_lost = True
    # Where the broker does not take the retry, it has the message itself.
    reject_on_worker_lost = True
    # Seconds until another process gets what one died with.
    default_retry_delay = 1

    def signature_from_request(
        self,
        request: Any = None,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        **options: Any,
    ) -> Any:
        """Return the message of a retry."""
        given = (request or self.request).kwargs if kwargs is None else kwargs
        options = {**hidden(given["records"]), **options}
        return super().signature_from_request(request, args, kwargs, queue, **options)
