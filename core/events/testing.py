"""For tests: run what is due here and now."""

from __future__ import annotations

from core.events import delivery, sweep
from core.events.routing import routing
from core.events.store import Scope
from core.events.tally import Tally


def deliver_pending(*, include_scheduled: bool = False) -> dict[str, dict[str, int]]:
    """Run every due delivery here and now, and those that they cause; each at most once.

    Returns counts per route and outcome, such as `{"shop.routes.bill": {"done": 2}}`. Works inside
    an open transaction, as under TestCase. Failures do not raise; paused routes are skipped; rate
    and concurrency are ignored. With `include_scheduled`, deliveries that wait for their backoff
    are run as well.
    """
    sweep.reclaim()
    tally = Tally()
    handled: list[int] = []
    while True:
        scope = Scope(exclude=tuple(handled), scheduled=include_scheduled)
        round_ = delivery.run_round(list(routing), scope=scope, unlimited=True)
        if not round_.taken:
            return tally.as_dict()
        tally.merge(round_.tally)
        handled += round_.returned
