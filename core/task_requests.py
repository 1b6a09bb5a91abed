"""A Celery task as the main process of a worker sees it."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request

from core.context import using_context
from core.task_context import HEADER, carried_context


class ContextRequest(Request):  # type: ignore[misc]  # it has no types
    """Takes the task's context for what the main process does when the task's process has died.

    That is where Celery logs a death or a hard time limit, sends signals and calls errbacks.
    """

    def on_timeout(self, *args: Any, **kwargs: Any) -> Any:
        """Deal with a time limit."""
        with using_context(carried_context(self.request_dict.get(HEADER))):
            return super().on_timeout(*args, **kwargs)

    def on_failure(self, *args: Any, **kwargs: Any) -> Any:
        """Deal with a failure that the task's process could not deal with."""
        with using_context(carried_context(self.request_dict.get(HEADER))):
            return super().on_failure(*args, **kwargs)
