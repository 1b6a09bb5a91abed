"""`manage.py events ...`: what is printed, and what is refused."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from core.events import EventSignal, deliver_pending, loop, registry
from core.events.console import table
from core.events.declarations import declared
from core.events.models import Delivery, EventRecord, RouteState, Settlement
from core.events.moments import InvalidMoment, parse_moment
from core.events.state import State
from core.events.tally import Tally

from .support import (
    Recorder,
    committing,
    deliveries,
    make_due,
    only_delivery,
    record_route,
    settled,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid() -> EventSignal:
    """A signal."""
    return EventSignal("order.paid")


@pytest.fixture
def calls(paid: EventSignal) -> Recorder:
    """The handler of the route `shop.bill`, which dies of its first failure."""
    recorder = record_route(paid, name="shop.bill", max_attempts=1)

    def fail(events: object) -> None:
        raise ValueError("no")

    recorder.behave = fail
    return recorder


def run(*arguments: str) -> str:
    """Return what the command prints."""
    out = io.StringIO()
    call_command("events", *arguments, stdout=out)
    return out.getvalue()


def run_json(*arguments: str) -> Any:
    """Return what the command prints with --json."""
    return json.loads(run(*arguments, "--json"))


def test_status_is_a_table(paid: EventSignal, calls: Recorder) -> None:
    """Away from a terminal the table is plain text, one line for each route."""
    paid.send(None)
    heading, row, events = run("status").splitlines()
    assert heading.split()[:6] == ["route", "queue", "due", "leased", "retrying", "dead"]
    assert heading.split()[6:] == ["orphaned", "paused", "oldest", "settled/s"]
    assert row.split() == ["shop.bill", "default", "1", "0", "0", "0", "0", "0:00:00", "0.0"]
    assert events == "1 event is stored"


def test_status_as_json(paid: EventSignal, calls: Recorder) -> None:
    """With --json, status is an object with the routes and the number of events."""
    paid.send(None)
    deliver_pending()
    found = run_json("status")
    (route,) = found["routes"]
    assert (found["events"], found["events_estimated"]) == (1, False)
    assert route.pop("oldest_seconds") is None
    assert route == {
        "route": "shop.bill",
        "queue": "default",
        "due": 0,
        "leased": 0,
        "retrying": 0,
        "dead": 1,
        "orphaned": 0,
        "paused": False,
        "rate": 0.0,
    }


def test_a_terminal_gets_a_rich_table() -> None:
    """On a terminal the heading is bold and ruled; in names nothing is taken for markup."""
    text = table(["route", "due"], [["[red]x", "1"]], terminal=True)
    assert "\x1b[1m" in text
    assert "─" in text
    assert "[red]x" in text
    assert table(["route", "due"], [["x" * 300, "1"]], terminal=False).splitlines()[1].endswith("1")


def test_retry(paid: EventSignal, calls: Recorder) -> None:
    """`retry` makes the dead due, at once."""
    paid.send(None)
    deliver_pending()
    assert "1 delivery would be due again" in run("retry", "--dry-run")
    assert only_delivery().state == State.DEAD
    lines = run("retry", "--route", "shop.bill", "--event", "order.*").splitlines()
    assert [line.split() for line in lines] == [
        ["route", "deliveries"],
        ["shop.bill", "1"],
        ["1", "delivery", "was", "due", "again"],
    ]
    assert only_delivery().state == State.READY


def test_retry_tells_what_it_left_out(paid: EventSignal) -> None:
    """A route that must be named is told, with the way to name it."""
    recorder = record_route(paid, name="shop.sms", at_most_once=True)

    def fail(events: object) -> None:
        raise ValueError

    recorder.behave = fail
    paid.send(None)
    deliver_pending()
    assert "left out: shop.sms (at_most_once); --route shop.sms takes it in" in run("retry")
    assert run_json("retry") == {
        "dry_run": False,
        "total": 0,
        "routes": {},
        "left_out": {"shop.sms": "at_most_once"},
    }


def test_discard_without_a_route_takes_the_dead_only(paid: EventSignal, calls: Recorder) -> None:
    """Work that is still to be done is discarded only where a route is given."""
    paid.send(None)
    deliver_pending()
    paid.send(None)
    assert run_json("discard")["routes"] == {"shop.bill": 1}
    assert only_delivery().state == State.READY
    assert run_json("discard", "--route", "shop.*", "--dry-run")["routes"] == {"shop.bill": 1}
    assert run_json("discard", "--route", "shop.*", "--reason", "test")["total"] == 1
    assert sorted(Settlement.objects.values_list("reason", flat=True)) == [
        "discarded by hand",
        "test",
    ]


def test_discard_of_chosen_states(paid: EventSignal, calls: Recorder) -> None:
    """`--state` chooses what is discarded, with or without a route."""
    paid.send(None)
    deliver_pending()
    paid.send(None)
    assert run_json("discard", "--state", "ready")["total"] == 1
    assert only_delivery().state == State.DEAD


def test_replay(paid: EventSignal, calls: Recorder) -> None:
    """`replay` queues new deliveries, and tells of events that nobody can read any more."""
    EventSignal("order.gone").send(None)
    declared._named.pop("order.gone")
    declared._current.pop("order.gone")
    registry.unroute("shop.bill")
    record_route("order.*", name="shop.bill")
    paid.send(None)
    assert run_json("replay", "--dry-run")["routes"] == {"shop.bill": 1}
    text = run("replay", "--since", "1h")
    assert "1 delivery was queued, for 1 event\n" in text
    assert "not replayed: 1 event named 'order.gone'" in text
    assert len(deliveries()) == 2


def test_pause_and_resume(paid: EventSignal, calls: Recorder) -> None:
    """`pause` and `resume` take names and globs, and tell what was so already."""
    assert run("pause", "--route", "shop.*", "--dry-run") == "shop.bill would be paused\n"
    assert run("pause", "--route", "shop.*") == "shop.bill is paused\n"
    assert RouteState.objects.get().paused
    assert run("pause", "--route", "shop.bill") == "shop.bill is paused already\n"
    assert run_json("resume", "--route", "shop.bill") == {
        "dry_run": False,
        "changed": ["shop.bill"],
        "unchanged": [],
    }
    assert not RouteState.objects.get().paused


def test_prune(paid: EventSignal) -> None:
    """`prune` removes what is past its days, or tells how much that is."""
    paid.send(None)
    EventRecord.objects.update(occurred_at=timezone.now() - timedelta(days=8))
    assert run("prune", "--days", "9") == "0 events and 0 rows of history were removed\n"
    assert run_json("prune", "--days", "7", "--dry-run") == {
        "dry_run": True,
        "events": 1,
        "settlements": 0,
    }
    assert run("prune", "--days", "7") == "1 event and 0 rows of history were removed\n"


def test_prune_says_that_no_days_keep_everything(paid: EventSignal, settings: Any) -> None:
    """0 is "for ever", by the option as by the setting; it never means "all"."""
    paid.send(None)
    EventRecord.objects.update(occurred_at=timezone.now() - timedelta(days=800))
    assert "for ever, so nothing is removed" in run("prune", "--days", "0")
    settings.EVENTS_RETENTION_DAYS = 0
    assert "for ever, so nothing is removed" in run("prune")
    assert EventRecord.objects.count() == 1


def test_options_may_be_given_as_keywords(paid: EventSignal, calls: Recorder) -> None:
    """`call_command` takes the same options as keywords, with times as text or datetime."""
    paid.send(None)
    out = io.StringIO()
    soon = timezone.now() + timedelta(hours=1)
    call_command(
        "events", "replay", route="shop.bill", since="1h", until=soon, json=True, stdout=out
    )
    assert json.loads(out.getvalue())["total"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "--route", "shop.bil"], r"'shop\.bil'.*did you mean 'shop\.bill'"),
        (["retry", "--event", "order.payd"], r"'order\.payd'.*did you mean 'order\.paid'"),
        (["replay", "--since", "yesterdaz"], "--since: 'yesterdaz' is not a time"),
        (["replay", "--until", "2026-02-30"], "--until: '2026-02-30' is not a time"),
        (["retry", "--since", "1h", "--until", "2h"], "--since 1h is not before --until 2h"),
        (["discard", "--state", "leased"], "invalid choice: 'leased'"),
        (["pause"], "--route"),
        (["pause", "--route", "nothing"], "'nothing'"),
        (["prune", "--days", "many"], "--days: 'many'"),
        (["prune", "--days", "-1"], "--days: '-1'"),
        (["prune", "--days", "99999999999"], r"--days: '99999999999'.*at most 36,500"),
        (["work", "--once", "--queues", "defautl"], "'defautl'.*did you mean 'default'"),
        (["stauts"], "invalid choice: 'stauts'"),
        ([], "ACTION"),
    ],
)
def test_bad_values_are_named(calls: Recorder, arguments: list[str], message: str) -> None:
    """A bad value is a CommandError that names it, and nothing happens."""
    with pytest.raises(CommandError, match=message):
        run(*arguments)


NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        (" 7d ", NOW - timedelta(days=7)),
        ("4w", NOW - timedelta(weeks=4)),
        ("2026-03-01T10:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are ISO 8601, or how long ago."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    assert parse_moment(text) == moment


def test_moments_without_an_offset_are_local() -> None:
    """A date is its first moment in the current time zone."""
    with timezone.override("Asia/Tokyo"):
        assert parse_moment("2026-03-01") == datetime(2026, 2, 28, 15, tzinfo=UTC)
        assert parse_moment("2026-03-01 09:00") == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59-05:00", "", "h", "2x", "-2h", "2026-13-01", "999999w", "10000-01-01"]
)
def test_what_is_no_moment_is_named(text: str) -> None:
    """Anything else raises an error that names it and shows what is possible."""
    with pytest.raises(InvalidMoment, match="is not a time: give a date") as caught:
        parse_moment(text)
    assert repr(text) in str(caught.value)


def test_work_once_delivers_what_is_due(paid: EventSignal, calls: Recorder) -> None:
    """`work --once` delivers everything due and stops."""
    calls.behave = lambda events: None
    paid.send_many(None, [{"n": n} for n in range(30)])
    assert run("work", "--once") == "shop.bill: 30 done\n"
    assert run_json("work", "--once") == {"routes": {}}


def test_work_once_says_that_there_was_nothing(calls: Recorder) -> None:
    """Silence could as well mean that it did not run."""
    assert run("work", "--once") == "nothing was due\n"
    assert run_json("work", "--once") == {"routes": {}}


def test_work_serves_the_chosen_queues(paid: EventSignal) -> None:
    """`--queues` takes several, separated by commas or repeated."""
    for name in ("a", "b", "c"):
        record_route(paid, name=name, queue=f"q{name}")
    paid.send(None)
    assert sorted(run_json("work", "--once", "--queues", "qa,qb")["routes"]) == ["a", "b"]
    assert list(run_json("work", "--once", "--queues", "qa", "--queues", "qc")["routes"]) == ["c"]


@committing
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_goes_on_until_a_signal(
    paid: EventSignal, calls: Recorder, number: signal.Signals
) -> None:
    """A signal lets the call that is running end, settles it, and ends the command."""
    former = signal.getsignal(number)

    def stop(events: object) -> None:
        os.kill(os.getpid(), number)

    calls.behave = stop
    paid.send(None)
    assert run("work") == "shop.bill: 1 done\n"
    assert settled() == {"done": 1}
    assert signal.getsignal(number) == former


@committing
def test_work_retries_what_failed(paid: EventSignal, settings: Any) -> None:
    """The loop delivers what comes due while it runs, which is what inline mode needs."""
    settings.EVENTS_MODE = "inline"
    settings.EVENTS_SWEEP_SECONDS = 0.1
    stopped = threading.Event()
    recorder = record_route(paid)

    def fail_once(events: object) -> None:
        if len(recorder.calls) == 1:
            raise ValueError
        stopped.set()

    recorder.behave = fail_once
    paid.send(None)
    assert only_delivery().state == State.WAITING
    make_due()
    assert loop.work_until(stopped).as_dict() == {"route": {"done": 1}}


def test_work_waits_for_a_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A lost connection is logged, and the loop goes on when it is back."""
    monkeypatch.setattr(loop, "_PATIENCE", 0.001)
    stopped = threading.Event()
    outcomes = iter([OperationalError("gone"), None])

    def sweep() -> None:
        if error := next(outcomes):
            raise error
        stopped.set()

    monkeypatch.setattr(loop.sweep, "sweep", sweep)
    assert loop.work_until(stopped).as_dict() == Tally().as_dict()
    assert "the database is away" in caplog.text


def test_status_does_not_lose_the_rows_of_routes_with_odd_names(paid: EventSignal) -> None:
    """A name with a comma or with brackets is one name, and matches itself."""
    record_route(paid, name="a,b[0]")
    paid.send(None)
    assert run_json("discard", "--route", "a,b[0]")["total"] == 1
    assert not Delivery.objects.exists()
