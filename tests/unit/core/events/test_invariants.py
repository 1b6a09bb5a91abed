"""What holds whatever handlers, workers and options do: histories made up by hypothesis."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from core.events import Backoff, Discard, Event, EventSignal, PartialFailure, Retry, deliver_pending
from core.events.models import Delivery, EventRecord, RouteState, Settlement
from core.events.state import State
from tests.unit.core.events.support import (
    Effects,
    claim_elsewhere,
    claim_suspect_elsewhere,
    let_workers_die,
    make_due,
    record_route,
)
from tests.unit.core.events.wiring import fresh_wiring

pytestmark = pytest.mark.django_db

OUTCOMES = ["ok", "ok", "ok", "fail", "retry", "discard", "partly", "stop"]
ROUNDS = 80

histories = st.fixed_dictionaries(
    {
        "batch_size": st.sampled_from([1, 2, 5]),
        "atomic": st.booleans(),
        "ordered": st.booleans(),
        "coalesce": st.booleans(),
        "at_most_once": st.booleans(),
        "max_attempts": st.integers(1, 3),
        "concurrency": st.sampled_from([None, None, 1]),
        "keys": st.lists(st.sampled_from([None, "a", "b"]), min_size=1, max_size=12),
        "scripts": st.lists(st.lists(st.sampled_from(OUTCOMES), max_size=4), max_size=12),
        "deaths": st.lists(st.sampled_from(["none", "none", "claim", "suspect"]), max_size=8),
    }
)


class History:
    """One route, its events, and what was made up for them."""

    def __init__(self, given: dict[str, Any], effects: Effects) -> None:
        self.keys: list[str | None] = given["keys"]
        self.scripts: list[list[str]] = given["scripts"]
        self.deaths: list[str] = list(given["deaths"])
        self.effects = effects
        self.calls: Counter[int] = Counter()
        self.given_together: list[list[Event]] = []
        options = {name: given[name] for name in ("batch_size", "atomic", "ordered", "coalesce")}
        options["coalesce"] = options["coalesce"] and options["batch_size"] > 1
        self.at_most_once = given["at_most_once"] and not (
            options["atomic"] or options["batch_size"] > 1
        )
        self.options = options
        self.max_attempts = given["max_attempts"]
        record_route(
            "made.*",
            max_attempts=self.max_attempts,
            backoff=Backoff(first=0, jitter="none"),
            concurrency=given["concurrency"],
            at_most_once=self.at_most_once,
            **options,
        ).behave = self.behave

    def outcome(self, number: int) -> str:
        """Return what was made up for the next call with this event."""
        script = self.scripts[number] if number < len(self.scripts) else []
        done = self.calls[number]
        return script[done] if done < len(script) else "ok"

    def behave(self, events: list[Event]) -> None:
        """Leave effects, and end as was made up."""
        self.given_together.append(events)
        numbers = [event.data["n"] for event in events]
        outcomes = {number: self.outcome(number) for number in numbers}
        for number in numbers:
            self.effects.add(number)
            self.calls[number] += 1
        for number in numbers:
            if outcomes[number] == "fail":
                raise ValueError
            if outcomes[number] == "retry":
                raise Retry(after=0)
            if outcomes[number] == "discard":
                raise Discard
            if outcomes[number] == "stop":
                raise KeyboardInterrupt
        failed = {e.id: "no" for e in events if outcomes[e.data["n"]] == "partly"}
        if failed:
            raise PartialFailure(failed)

    def run(self) -> None:
        """Fire everything, then deliver and let workers die until nothing is left to do."""
        signal = EventSignal("made.up", key="key")
        payloads = [{"key": key, "n": n} for n, key in enumerate(self.keys)]
        signal.send_many(sender=None, payloads=payloads)
        for _ in range(ROUNDS):
            if not Delivery.objects.exclude(state=State.DEAD).exists():
                return
            make_due()
            self._die(self.deaths.pop() if self.deaths else "none")
            try:
                deliver_pending()
            except KeyboardInterrupt:
                event("stopped")
        raise AssertionError(
            f"not at rest after {ROUNDS} rounds: {list(Delivery.objects.values())}"
        )

    @staticmethod
    def _die(how: str) -> None:
        if how == "claim":
            claim_elsewhere(limit=3)
        elif how == "suspect":
            claim_suspect_elsewhere()
        if how != "none":
            event(f"death: {how}")
            let_workers_die()
            make_due()


def clean() -> None:
    """Forget what the history before has left."""
    for model in (Delivery, EventRecord, Settlement, RouteState):
        model._default_manager.all().delete()


@settings(
    max_examples=120,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(made_up=histories)
def test_every_history_ends_well(effects: Effects, made_up: dict[str, Any]) -> None:
    """Each delivery is settled once or dead; atomic effects are exact; order and limits hold."""
    clean()
    effects.clear()
    with fresh_wiring():
        history = History(made_up, effects)
        history.run()
    check_counts(history)
    check_deaths(history)
    check_calls(history)
    if history.options["atomic"] and not history.options["coalesce"]:
        check_effects(history)


def check_counts(history: History) -> None:
    """Nothing is lost and nothing is settled twice."""
    settled = [pk for row in Settlement.objects.all() for pk in row.events.split()]
    dead = [str(pk) for pk in Delivery.objects.values_list("event_id", flat=True)]
    assert len(settled) + len(dead) == len(history.keys)
    assert len({*settled, *dead}) == len(history.keys)


def check_deaths(history: History) -> None:
    """Whoever is dead has used up its attempts, or was called once where once is the most."""
    for delivery in Delivery.objects.all():
        assert delivery.error
        if not history.at_most_once:
            assert delivery.failures == history.max_attempts
        assert delivery.attempts >= delivery.failures


def check_calls(history: History) -> None:
    """Batches are as large as they may be, with one event per key where they are coalesced."""
    for events in history.given_together:
        assert 1 <= len(events) <= history.options["batch_size"]
        if history.options["coalesce"]:
            keys = [e.key for e in events if e.key is not None]
            assert len(keys) == len(set(keys))
    if history.at_most_once:
        for number, calls in history.calls.items():
            retries = history.scripts[number].count("retry") if number < len(history.scripts) else 0
            assert calls <= 1 + retries


def check_effects(history: History) -> None:
    """As many effects as deliveries that were done, in the order of their keys."""
    done = {pk for row in Settlement.objects.filter(outcome="done") for pk in row.events.split()}
    ids = EventRecord.objects.order_by("id").values_list("id", flat=True)
    numbers = {str(n) for n, pk in enumerate(ids) if str(pk) in done}
    found = history.effects.all()
    assert Counter(found) == Counter(numbers)
    if history.options["ordered"]:
        by_key: dict[str | None, list[int]] = defaultdict(list)
        for effect in found:
            by_key[history.keys[int(effect)]].append(int(effect))
        by_key.pop(None, None)
        assert all(order == sorted(order) for order in by_key.values())
