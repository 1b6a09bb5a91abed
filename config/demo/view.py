"""What a person sees while the demo runs: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from config.demo.figures import Snapshot

PLAIN_EVERY = 5.0
NOTES = 12


class View(Protocol):
    """Where the story shows what is going on."""

    def note(self, text: str) -> None:
        """Tell what has just happened."""

    def show(self, snapshot: Snapshot, sent: int, target: int) -> None:
        """Show how far everything is."""

    def close(self) -> None:
        """Leave the screen to what comes next."""


class Clock:
    """Seconds since the demo began, and the events of the last few of them."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._seen: deque[tuple[float, int]] = deque(maxlen=16)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def rate(self, events: int) -> float:
        """Return events per second over the last snapshots, this one included."""
        self._seen.append((self.elapsed, events))
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0


class PlainView:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = 0.0

    def note(self, text: str) -> None:
        """Print what has just happened."""
        print(f"{self._clock.elapsed:6.1f} s  {text}", flush=True)

    def show(self, snapshot: Snapshot, sent: int, target: int) -> None:
        """Print a summary, if the last one was a while ago."""
        rate = self._clock.rate(snapshot.events)
        if self._clock.elapsed < self._next:
            return
        self._next = self._clock.elapsed + PLAIN_EVERY
        total = snapshot.total
        self.note(
            f"  orders {sent}/{target}, {rate:.0f} events/s | settled {total.settled}, "
            f"due {total.due}, leased {total.leased}, retrying {total.retrying}, dead {total.dead}"
        )

    def close(self) -> None:
        """There is nothing to leave."""


class LiveView:
    """A table that is redrawn in place: progress, routes, and what has happened."""

    def __init__(self, clock: Clock, console: Console) -> None:
        self._clock = clock
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def note(self, text: str) -> None:
        """Add what has just happened to the last lines."""
        self._notes.append(f"{self._clock.elapsed:6.1f} s  {text}")

    def show(self, snapshot: Snapshot, sent: int, target: int) -> None:
        """Redraw."""
        rate = self._clock.rate(snapshot.events)
        self._live.update(
            Group(
                self._headline(snapshot.events, rate, sent, target),
                routes_table(snapshot),
                Panel(Text("\n".join(self._notes)), title="What is happening", height=NOTES + 2),
            ),
            refresh=True,
        )

    def close(self) -> None:
        """Take the table away and leave the notes, so that they can be read afterwards."""
        self._live.stop()
        for line in self._notes:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _headline(self, events: int, rate: float, sent: int, target: int) -> RenderableType:
        grid = Table.grid(expand=True, padding=(0, 2))
        grid.add_column()
        grid.add_column(ratio=1)
        grid.add_column(justify="right")
        grid.add_row(
            f"orders [bold]{sent}[/]/{target}",
            ProgressBar(total=target, completed=sent),
            f"[bold]{rate:.0f}[/] events/s   {events} events   {self._clock.elapsed:.0f} s",
        )
        return grid


def routes_table(snapshot: Snapshot) -> Table:
    """Return a table of the routes and where their deliveries are."""
    table = Table("route", expand=True)
    for column in ("settled", "due", "leased", "retrying", "dead"):
        table.add_column(column, justify="right")
    for each in snapshot.routes:
        table.add_row(
            each.route,
            str(each.settled),
            _marked(each.due, "cyan"),
            _marked(each.leased, "blue"),
            _marked(each.retrying, "yellow"),
            _marked(each.dead, "bold red"),
        )
    return table


def _marked(count: int, style: str) -> Text:
    return Text(str(count), style=style if count else "dim")


def open_view() -> View:
    """Return the view that suits where the output goes."""
    console = Console()
    clock = Clock()
    return LiveView(clock, console) if console.is_terminal else PlainView(clock)
