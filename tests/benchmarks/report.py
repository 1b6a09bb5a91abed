"""Shows the figures: a table for people, JSON for everything else."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.settings.environment import BASE_DIR

from .bench import Size
from .results import Row

DIRECTORY = BASE_DIR / "var" / "bench"
OWN = "signalbox"
_NAMES = {"usual": "usual way"}
_STYLES = {"aim": "bold green", "reach": "green", "missed": "bold red", "": "dim"}
_PACKAGES = ("Django", "celery", "kombu", "redis", "psycopg", "dramatiq", "procrastinate")


class Report:
    """Gathers rows, tells what is going on, and shows the result."""

    def __init__(self, *, size: Size) -> None:
        self._size = size
        self._rows: list[Row] = []
        self._started = time.monotonic()
        self._at = time.strftime("%Y-%m-%dT%H-%M-%S")
        self._console = Console(width=None if Console().is_terminal else 140, highlight=False)

    @property
    def missed(self) -> list[Row]:
        """Return the rows that are short of their budget."""
        return [row for row in self._rows if row.verdict == "missed"]

    def say(self, text: str) -> None:
        """Tell what is being done."""
        self._console.print(
            f"{time.monotonic() - self._started:6.1f} s  {text}", style="dim", markup=False
        )

    def add(self, row: Row) -> None:
        """Keep a row, and show it at once."""
        self._rows.append(row)
        ratio = f"  ratio {row.ratio:.2f} {row.verdict}" if row.ratio is not None else ""
        figures = ", ".join(f"{side} {_number(each)}" for side, each in row.figures.items())
        self._console.print(f"          {row.what}: {figures} {row.unit}{ratio}")

    def print(self) -> None:
        """Print the table and the verdict."""
        self._console.print(self._table())
        judged = [row for row in self._rows if row.budget]
        for row in self.missed:
            self._console.print(Text(f"missed: {row.what}", style="bold red"))
        self._console.print(
            f"{len(judged) - len(self.missed)} of {len(judged)} budgets reached, "
            f"{sum(row.verdict == 'aim' for row in judged)} of them as far as was aimed for."
        )

    def write(self) -> None:
        """Write the JSON and say where it is."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        path = DIRECTORY / f"{self._at}.json"
        path.write_text(json.dumps(self._document(), indent=1))
        self._console.print(f"Figures of every round: {_relative(path)}")

    def _table(self) -> Table:
        table = Table(title="Signalbox against the usual way", title_justify="left")
        table.add_column("what")
        for name in ("Signalbox", "compared with", "ratio", "reach", "aim", "reached"):
            table.add_column(name, justify="right")
        case = ""
        for row in self._rows:
            if case and row.case != case:
                table.add_section()
            case = row.case
            table.add_row(*self._cells(row))
        return table

    @staticmethod
    def _cells(row: Row) -> list[str | Text]:
        first, *others = sorted(row.figures.items(), key=lambda item: item[0] != OWN)
        sign = "" if row.budget is None else "≤ " if row.budget.at_most else "≥ "
        return [
            Text(f"{row.what}{f' ({row.note})' if row.note else ''}"),
            f"{_number(first[1])} {row.unit}",
            "\n".join(
                f"{_NAMES.get(name, name)} {_number(each)} {row.unit}" for name, each in others
            ),
            "" if row.ratio is None else f"{row.ratio:.2f}{row.ratio_unit}",
            f"{sign}{row.budget.reach:g}" if row.budget else "",
            f"{sign}{row.budget.aim:g}" if row.budget else "",
            Text(
                {"aim": "yes, aim too", "reach": "yes", "missed": "NO"}.get(row.verdict, ""),
                style=_STYLES[row.verdict],
            ),
        ]

    def _document(self) -> dict[str, object]:
        return {
            "at": self._at,
            "seconds": round(time.monotonic() - self._started, 1),
            "machine": {
                "system": platform.platform(),
                "processors": os.cpu_count(),
                "python": platform.python_version(),
                "load": os.getloadavg(),
            },
            "packages": {name: version(name) for name in _PACKAGES},
            "commit": _commit(),
            "size": vars(self._size),
            "rows": [row.as_dict() for row in self._rows],
            "missed": [row.what for row in self.missed],
        }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _relative(path: Path) -> str:
    return os.path.relpath(path)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=BASE_DIR, capture_output=True, text=True
    )
    return done.stdout.strip()
