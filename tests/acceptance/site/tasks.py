from __future__ import annotations

import logging
from typing import Any

from celery import shared_task

logger = logging.getLogger(__name__)


@shared_task(name="site.remind")
def remind(**kwargs: Any) -> None:
    """Say that it ran, and what it was given."""
    logger.info("reminded of %s", kwargs)
