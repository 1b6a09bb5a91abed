"""Which cache entries go stale with which events, and which are kept warm.

Stale entries are removed twice: at commit by the process that commits, so that its next reader sees
the change, and by a delivery that survives whatever happens to that process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Model

from core.events import Event, EventSignal
from core.events.conf import conf
from core.fee import cache as fee_cache
from core.models import PlatformFeeConfig
from core.signals.audit_signals import (
    cache_invalidation_requested,
    platform_fee_changed,
    platform_fee_planned,
)
from workers.growing_route import GrowingRoute

from .invalidation import AtCommit, Keys, Rule, Rules, Stale
from .warming import warmer

logger = logging.getLogger(__name__)

_rules = Rules()
_at_commit = AtCommit()


def invalidate(events: list[Event]) -> None:
    """Remove what these events made stale, each entry once."""
    stale = Stale()
    for event in events:
        _rules.gather(stale, name=event.name, sender=event.sender, data=event.data)
    stale.remove()


# Not `coalesce`: an older event of the same row may name keys that the newest does not. A batch
# gathers the keys anyway. Until the lease ends, a dead worker's entries are stale;
# it is as long as that of analytics, so that both are settled by one statement.
_invalidated = GrowingRoute(
    invalidate, name="cache.invalidate", queue="cache", batch_size=500, lease=25
)


def invalidates(
    *signals_or_globs: EventSignal | str,
    keys: Keys = (),
    patterns: Keys = (),
    calls: Sequence[Callable[[], Any]] = (),
    sender: type[Model] | None = None,
) -> None:
    """Remove these cache entries whenever one of these events happens (of this sender).

    `invalidates(model_updated, sender=Order, keys=["order:{pk}"])` in an app's `routes.py` is all
    that it takes; see `Rule` and `patterns`. Signals, unlike globs, work at commit as well.
    """
    rule = Rule(keys, patterns, tuple(calls), sender)
    for each in signals_or_globs:
        _rules.add(each if isinstance(each, str) else each.name, rule)
        if isinstance(each, EventSignal):
            each.connect(remove_at_commit, dispatch_uid="cache.remove-at-commit")
    _invalidated.add(*signals_or_globs)


def remove_at_commit(sender: Any, signal: EventSignal, **data: Any) -> None:
    """Remove what this firing makes stale as soon as its transaction is committed."""
    stale = Stale()
    label = sender._meta.label_lower if hasattr(sender, "_meta") else str(sender)
    try:
        _rules.gather(stale, name=signal.name, sender=label, data=data)
    except Exception:
        # A rule is an app's code. It must not fail whoever fired; its delivery will tell.
        logger.warning("a cache rule does not fit %s", signal.name)
    transaction.on_commit(lambda: _at_commit.remove(stale), using=conf.database, robust=True)


invalidates(
    cache_invalidation_requested,
    keys=lambda data: data.get("keys") or (),
    patterns=lambda data: data.get("patterns") or (),
)
invalidates(platform_fee_changed, platform_fee_planned, calls=[fee_cache.invalidate])

warmer("platform_fee")(PlatformFeeConfig.warm_cache)
