"""Writes a batch to every sink: one that fails keeps nothing from the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.request_logs.conf import conf

from .models import RequestLogLoss
from .records import Record
from .sinks import SINKS

logger = logging.getLogger(__name__)


def write(records: Sequence[Record], *, sinks: Iterable[str] | None = None) -> list[str]:
    """Write to these sinks, or to those of the settings; return the ones that failed."""
    failed = []
    for name in conf.sinks if sinks is None else sinks:
        try:
            SINKS[name](records)
        except Exception:
            logger.exception("%d request logs could not be written to %s", len(records), name)
            failed.append(name)
    return failed


def note_loss(source: Mapping[str, Any], *, unwritten: int = 0) -> None:
    """Keep how many records the process of a batch has lost so far; it never raises."""
    dropped = int(source.get("dropped", 0))
    if not dropped and not unwritten:
        return
    process, host = str(source.get("process", "unknown")), str(source.get("host", ""))
    try:
        RequestLogLoss.objects.note(
            process=process[:64], host=host[:255], dropped=dropped, worker=unwritten
        )
    except Exception:
        # The database may be the sink that fails; the process has logged what it dropped.
        logger.exception("a loss of request logs could not be kept: %d, %d", dropped, unwritten)


def give_up(records: Sequence[Record], sinks: Iterable[str], source: Mapping[str, Any]) -> None:
    """Say that these sinks never got the records, and count them."""
    logger.error("%d request logs were lost for %s", len(records), ", ".join(sinks))
    note_loss(source, unwritten=len(records))
