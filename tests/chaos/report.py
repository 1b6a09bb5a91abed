"""What a person reads at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .ledger import ATOMIC, OUTSIDE
from .trial import KEPT, MISSED, SKIPPED, Result

COLUMNS = (
    "fault",
    "events",
    "lost",
    "atomic doubled",
    "outside doubled (same id / other id)",
    "at most once (twice / unknown)",
    "out of order",
    "dead",
    "request p50 / p99 ms",
    "control p50 / p99 ms",
    "by the broker max ms (over 50)",
    "settled after s",
    "",
)
COLOURS = {KEPT: "green", MISSED: "bold red", SKIPPED: "yellow"}


def show(results: Sequence[Result]) -> None:
    """Print a table for each database; plain columns where nobody sees colours."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    for database in dict.fromkeys(result.database for result in results):
        own = [result for result in results if result.database == database]
        console.print(_table(database, own) if console.is_terminal else "", end="")
        if not console.is_terminal:
            _print_plainly(database, own)
    for result in results:
        for problem in result.problems:
            print(f"MISSED  {result.database}  {result.fault}: {problem}")
        for note in result.notes:
            print(f"note    {result.database}  {result.fault}: {note}")
    print(_summary(results))


def write(results: Sequence[Result], path: Path, *, quick: bool) -> None:
    """Write everything that was counted as JSON."""
    body = {
        "reached": not any(result.verdict == MISSED for result in results),
        "quick": quick,
        "results": [result.as_dict() for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=1) + "\n")


def _table(database: str, results: Sequence[Result]) -> Table:
    table = Table(title=database, title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "fault" else "right")
    for result in results:
        *cells, verdict = _cells(result)
        colour = COLOURS[result.verdict]
        table.add_row(*cells, f"[{colour}]{verdict}[/{colour}]")
    return table


def _print_plainly(database: str, results: Sequence[Result]) -> None:
    print(f"\n{database}")
    for result in results:
        print(f"  {result.fault}: {result.verdict}")
        if result.verdict == SKIPPED:
            continue
        pairs = zip(COLUMNS[1:-1], _cells(result)[1:-1], strict=True)
        print("    " + ", ".join(f"{name}: {value}" for name, value in pairs))


def _cells(result: Result) -> list[str]:
    if result.verdict == SKIPPED:
        return [result.fault, *[""] * (len(COLUMNS) - 2), SKIPPED]
    count, figures = result.count, result.emitter
    everywhere = tuple(count.routes)
    return [
        result.fault,
        str(count.committed),
        str(count.total("lost", everywhere)),
        str(count.total("doubled", ATOMIC)),
        f"{count.total('doubled', ('external',))} / {count.total('foreign', ('external',))}",
        f"{count.total('doubled', ('once',))} / {count.total('dead', ('once',))}",
        str(count.total("disorder", everywhere)),
        str(count.total("dead", (*ATOMIC, *OUTSIDE))),
        _span(figures.get("emission_ms")),
        _span(figures.get("control_ms")),
        _worst(figures.get("broker_ms")),
        f"{count.recovery_seconds:g}",
        result.verdict,
    ]


def _span(figures: dict[str, Any] | None) -> str:
    return f"{figures['p50']:g} / {figures['p99']:g}" if figures else "?"


def _worst(figures: dict[str, Any] | None) -> str:
    return f"{figures['max']:g} ({figures['slow']})" if figures else "?"


def _summary(results: Sequence[Result]) -> str:
    tried = [result for result in results if result.verdict != SKIPPED]
    lost = sum(result.count.total("lost", tuple(result.count.routes)) for result in tried)
    doubled = sum(result.count.total("doubled", ATOMIC) for result in tried)
    effects = sum(count.expected for result in tried for count in result.count.routes.values())
    missed = sum(result.verdict == MISSED for result in tried)
    verdict = f"{missed} MISSED" if missed else "all as promised"
    counts = f"{effects} effects: {lost} lost, {doubled} atomic doubled"
    return f"\n{len(tried)} faults, {counts}; {verdict}."
