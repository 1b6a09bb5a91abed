"""`manage.py events ACTION`: see and steer the deliveries of events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from core.events import interventions, loop, retention
from core.events import replay as replaying
from core.events import status as states
from core.events.conf import LONGEST_RETENTION_DAYS, conf
from core.events.console import progress_bar, table
from core.events.errors import EventsError
from core.events.interventions import DISCARDED, RETRIED, Intervention, Switched
from core.events.moments import parse_moment
from core.events.selection import Selection
from core.events.state import State
from core.events.tally import Tally

Options = dict[str, Any]

_EXCEPTIONS = ("orphaned", "paused")


class Command(BaseCommand):
    help = "See and steer the deliveries of events. Actions that change rows act at once."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add(name: str, text: str, *groups: Callable[[CommandParser], None]) -> CommandParser:
            action: CommandParser = actions.add_parser(name, help=text, description=text)
            for group in groups:
                group(action)
            action.add_argument("--json", action="store_true", help="print JSON")
            return action

        add("status", "show where the deliveries of each route are", _filters)
        add("retry", "make dead and waiting deliveries due now", _filters, _states(RETRIED), _dry)
        discard = add(
            "discard",
            "settle deliveries without effect: all that no worker holds where --route is given, "
            "otherwise dead ones only",
            _filters,
            _states(DISCARDED),
            _dry,
        )
        discard.add_argument("--reason", default="discarded by hand", help="kept in the history")
        add("replay", "give stored events new deliveries, at the end of the line", _filters, _dry)
        add("pause", "stop claiming the deliveries of routes", _named_routes, _dry)
        add("resume", "let paused routes go on", _named_routes, _dry)
        prune = add("prune", "remove settled events and history past their retention", _dry)
        prune.add_argument("--days", help="keep so many days (default: EVENTS_RETENTION_DAYS)")
        work = add("work", "sweep and deliver in a loop, without Celery, until stopped")
        work.add_argument(
            "--queues", action="append", metavar="QUEUE[,QUEUE]", help="only these (default: all)"
        )
        work.add_argument("--once", action="store_true", help="deliver what is due, then stop")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except EventsError as error:
            raise CommandError(error.message) from error
        except DatabaseError as error:
            cause = type(error.__cause__ or error).__name__
            raise CommandError(
                f"the database of the events cannot be used ({cause}): "
                "is it up, and has `manage.py migrate` been run?"
            ) from error

    def _status(self, options: Options) -> None:
        found = states.status(_selection(options))
        if options.get("json"):
            self._print_json(found.as_dict())
            return
        headings = [field.name.removesuffix("_seconds") for field in fields(states.RouteStatus)]
        headings[-1] = "settled/s"
        rows = [dict(zip(headings, _status_row(route), strict=True)) for route in found.routes]
        if self.stdout.isatty():
            # Exceptions are worth a column when there are some.
            headings = [
                h for h in headings if h not in _EXCEPTIONS or any(_says(r[h]) for r in rows)
            ]
        self._print_table(headings, [[row[heading] for heading in headings] for row in rows])
        about = "about " if found.events_estimated else ""
        verb = "is" if found.events == 1 else "are"
        self.stdout.write(f"{about}{_number(found.events, 'event')} {verb} stored")

    def _retry(self, options: Options) -> None:
        with progress_bar("retrying") as progress:
            done = interventions.retry(
                _selection(options),
                states=_chosen_states(options) or RETRIED,
                dry_run=_dry_run(options),
                progress=progress,
            )
        self._show(options, done, "due again")

    def _discard(self, options: Options) -> None:
        selection = _selection(options)
        default = DISCARDED if selection.routes else (State.DEAD,)
        with progress_bar("discarding") as progress:
            done = interventions.discard(
                selection,
                states=_chosen_states(options) or default,
                reason=options.get("reason") or "discarded by hand",
                dry_run=_dry_run(options),
                progress=progress,
            )
        self._show(options, done, "discarded")

    def _replay(self, options: Options) -> None:
        with progress_bar("replaying") as progress:
            done = replaying.replay(
                _selection(options), dry_run=_dry_run(options), progress=progress
            )
        notes = [
            f"not replayed: {_number(count, 'event')} named {name!r}: no signal is declared for it"
            for name, count in done.undeclared.items()
        ]
        self._show(options, done, f"queued, for {_number(done.events, 'event')}", notes)

    def _pause(self, options: Options) -> None:
        done = interventions.pause(_route_selection(options), dry_run=_dry_run(options))
        self._show_switched(options, done, "paused")

    def _resume(self, options: Options) -> None:
        done = interventions.resume(_route_selection(options), dry_run=_dry_run(options))
        self._show_switched(options, done, "running")

    def _prune(self, options: Options) -> None:
        days = _days(options)
        with progress_bar("pruning") as progress:
            done = retention.prune(days=days, dry_run=_dry_run(options), progress=progress)
        if options.get("json"):
            self._print_json({"dry_run": _dry_run(options), **done.as_dict()})
            return
        if (conf.retention_days if days is None else days) == 0:
            self.stdout.write(
                "0 days keep events for ever, so nothing is removed; give --days 1 or more"
            )
            return
        verb = "would be" if _dry_run(options) else "were"
        self.stdout.write(
            f"{_number(done.events, 'event')} and {done.settlements:,} rows of history {verb} "
            "removed"
        )

    def _work(self, options: Options) -> None:
        names = ",".join(_names(options, "queues")).split(",")
        queues = loop.choose_queues([name.strip() for name in names if name.strip()])
        if options.get("once"):
            tally = loop.work_once(queues)
        else:
            with loop.stop_signals() as stopped:
                report = bool if options.get("json") else self._report
                tally = loop.work_until(stopped, queues, report=report)
        if options.get("json"):
            self._print_json({"routes": tally.as_dict()})
        elif options.get("once"):
            self._report(tally)
            if not tally:
                self.stdout.write("nothing was due")

    # -- printing -------------------------------------------------------------------------

    def _report(self, tally: Tally) -> None:
        for route, outcomes in tally.as_dict().items():
            counts = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
            self.stdout.write(f"{route}: {counts}")
        self.stdout.flush()

    def _show(
        self,
        options: Options,
        done: Intervention | replaying.Replayed,
        outcome: str,
        notes: Sequence[str] = (),
    ) -> None:
        if options.get("json"):
            self._print_json({"dry_run": _dry_run(options), **done.as_dict()})
            return
        if done.routes:
            rows = [[name, f"{count:,}"] for name, count in done.routes.items()]
            self._print_table(["route", "deliveries"], rows)
        verb = "would be" if _dry_run(options) else "were" if done.total != 1 else "was"
        self.stdout.write(f"{_number(done.total, 'delivery', 'deliveries')} {verb} {outcome}")
        for name, reason in done.left_out.items():
            named = name in _names(options, "route")
            advice = "" if named else f"; --route {name} takes it in"
            self.stdout.write(f"left out: {name} ({reason}){advice}")
        for note in notes:
            self.stdout.write(note)

    def _show_switched(self, options: Options, done: Switched, outcome: str) -> None:
        if options.get("json"):
            self._print_json({"dry_run": _dry_run(options), **done.as_dict()})
            return
        verb = "would be" if _dry_run(options) else "is"
        for name in done.changed:
            self.stdout.write(f"{name} {verb} {outcome}")
        for name in done.unchanged:
            self.stdout.write(f"{name} is {outcome} already")

    def _print_json(self, body: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps(body, indent=2))

    def _print_table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.stdout.write(table(headings, rows, terminal=self.stdout.isatty()))


# -- arguments ----------------------------------------------------------------------------


def _filters(parser: CommandParser) -> None:
    parser.add_argument(
        "--route", action="append", metavar="NAME", help="a route, or a glob; may be repeated"
    )
    parser.add_argument(
        "--event", action="append", metavar="NAME", help="an event, or a glob; may be repeated"
    )
    times = "a date, a date and time, or how long ago (90s, 30m, 2h, 7d, 4w)"
    parser.add_argument("--since", metavar="TIME", help=f"events that happened since: {times}")
    parser.add_argument("--until", metavar="TIME", help="events that happened before: the same")


def _named_routes(parser: CommandParser) -> None:
    parser.add_argument(
        "--route",
        action="append",
        required=True,
        metavar="NAME",
        help="a route, or a glob; may be repeated",
    )


def _states(choices: Sequence[State]) -> Callable[[CommandParser], None]:
    def add(parser: CommandParser) -> None:
        names = [state.label for state in choices]
        parser.add_argument(
            "--state", action="append", choices=names, help="only these; may be repeated"
        )

    return add


def _dry(parser: CommandParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="change nothing, show what would be")


def _selection(options: Options) -> Selection:
    since, until = _moment(options, "since"), _moment(options, "until")
    if since is not None and until is not None and since >= until:
        raise CommandError(
            f"--since {options['since']} is not before --until {options['until']}: "
            "no event can lie between them"
        )
    return Selection(_names(options, "route"), _names(options, "event"), since, until)


def _route_selection(options: Options) -> Selection:
    return Selection(routes=_names(options, "route"))


def _moment(options: Options, name: str) -> datetime | None:
    value = options.get(name)
    if value is None or isinstance(value, datetime):
        return value
    try:
        return parse_moment(value)
    except EventsError as error:
        raise CommandError(f"--{name}: {error.message}") from error


def _names(options: Options, name: str) -> list[str]:
    given = options.get(name) or []
    return [given] if isinstance(given, str) else list(given)


def _chosen_states(options: Options) -> list[State]:
    return [State[label.upper()] for label in options.get("state") or []]


def _dry_run(options: Options) -> bool:
    return bool(options.get("dry_run"))


def _days(options: Options) -> int | None:
    value = options.get("days")
    try:
        days = None if value is None else int(value)
    except ValueError:
        days = -1
    if days is not None and not 0 <= days <= LONGEST_RETENTION_DAYS:
        raise CommandError(
            f"--days: {value!r} is not a whole number of at least 0, "
            f"at most {LONGEST_RETENTION_DAYS:,}"
        )
    return days


# -- wording ------------------------------------------------------------------------------


def _status_row(route: states.RouteStatus) -> list[str]:
    counts = (route.due, route.leased, route.retrying, route.dead, route.orphaned)
    age = route.oldest_seconds
    return [
        route.route,
        route.queue or "",
        *(f"{count:,}" for count in counts),
        "yes" if route.paused else "",
        "" if age is None else str(timedelta(seconds=int(age))),
        f"{route.rate:,.1f}",
    ]


def _says(cell: str) -> bool:
    return cell not in ("", "0")


def _number(count: int, noun: str, plural: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
