"""Console: tables and progress bars, rich on a terminal and plain text elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from core.events.selection import Progress

# A long line is easier to read, and to search, than a folded name.
_UNBOUNDED = 10_000


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, terminal: bool) -> str:
    """Return rows as text in columns; those whose cells all begin with digits are right-aligned."""
    rows = list(rows)
    grid = Table(
        box=SIMPLE_HEAD if terminal else None,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    for number, heading in enumerate(headings):
        numeric = bool(rows) and all(row[number][:1].isdigit() or not row[number] for row in rows)
        grid.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    out = io.StringIO()
    # Names are data: nothing in them is markup.
    console = Console(
        file=out,
        force_terminal=terminal,
        width=_UNBOUNDED,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show a bar on the standard error while the block runs, if that is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with ProgressBar(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield show
