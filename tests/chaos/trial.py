"""One database: its processes, each fault in turn, and what each came to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import environ
from django.conf import settings

from .faults import Experiment, Fault, wrong_clocks
from .ledger import ATOMIC, OUTSIDE, Count, Ledger
from .rig import Rig

SETTLE_SECONDS = 90.0
# So many at_most_once handlers may be cut off: a few by each death, and there is no death without.
UNKNOWN, UNKNOWN_SHARE = 8, 0.05
SKIPPED, KEPT, MISSED = "skipped", "ok", "missed"


@dataclass
class Result:
    """What one fault came to."""

    fault: str
    text: str
    database: str
    verdict: str = KEPT
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    count: Count = field(default_factory=Count)
    emitter: dict[str, Any] = field(default_factory=dict)

    def judge(self, *, cuts: bool = False) -> None:
        """Compare the counts with what is promised, in a fault that cuts handlers off or not."""
        count, figures = self.count, self.emitter
        for number, what in (
            (count.total("lost", tuple(count.routes)), "lost"),
            (count.total("doubled", ATOMIC), "atomic effects doubled"),
            (count.total("phantom", tuple(count.routes)), "effects of nothing committed"),
            (count.total("foreign", OUTSIDE), "doubled under another delivery_id"),
            (count.total("doubled", ("once",)), "at_most_once effects doubled"),
            (count.total("disorder", ("ordered",)), "out of order"),
            (count.unsettled, f"not settled after {SETTLE_SECONDS:g} s"),
            (figures.get("broker_ms", {}).get("slow", 0), "requests held up by the broker"),
        ):
            if number:
                self.problems.append(f"{number} {what}")
        unknown = count.total("dead", ("once",))
        if unknown > (max(UNKNOWN, UNKNOWN_SHARE * count.committed) if cuts else 0):
            self.problems.append(f"{unknown} at_most_once outcomes unknown")
        if "failed" in figures:
            self.problems.append(figures["failed"])
        if not count.committed:
            self.problems.append("no request committed, so nothing was tried")
        self.verdict = MISSED if self.problems else KEPT

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "count": self.count.as_dict()}


def run(
    database: str,
    faults: Iterable[Fault],
    *,
    quick: bool,
    workdir: Path,
    tell: Callable[[str], None],
) -> list[Result]:
    """Let the faults happen one after another and return what came of each."""
    shutil.rmtree(workdir, ignore_errors=True)
    results = []
    with Rig(workdir, database, wrong_clocks()) as rig:
        _set_up(rig)
        for fault in faults:
            tell(f"{database}: {fault.name}: {fault.text}")
            result = _try(rig, fault, quick) if not _reason(fault, database) else None
            results.append(result or _skip(fault, database))
            tell(f"{database}: {fault.name}: {results[-1].verdict} ({results[-1].seconds:g} s)")
    return results


def _set_up(rig: Rig) -> None:
    """Let this process read the database under test."""
    settings.configure(
        DATABASES={"default": environ.Env.db_url_config(rig.environment["DATABASE_URL"])},
        INSTALLED_APPS=["core.events", "tests.chaos.effects"],
        CHAOS_EXTERNAL=rig.workdir / "external.jsonl",
        USE_TZ=True,
    )
    django.setup()


def _reason(fault: Fault, database: str) -> str | None:
    if database not in fault.databases:
        return f"not on {database}"
    return fault.missing()


def _skip(fault: Fault, database: str) -> Result:
    return Result(fault.name, fault.text, database, SKIPPED, notes=[_reason(fault, database) or ""])


def _try(rig: Rig, fault: Fault, quick: bool) -> Result:
    began = time.monotonic()
    ledger = Ledger()
    experiment = Experiment(rig, ledger, fault.name, quick)
    result = Result(fault.name, fault.text, rig.database)
    with (
        fault.surroundings() as env,
        rig.load(fault.name, fault.trap, fault.every, env) as load,
    ):
        try:
            fault.act(experiment)
        except Exception as error:
            # The other faults still have something to tell.
            experiment.problems.append(f"the fault itself failed: {error!r}")
    ended = time.monotonic()
    rig.restore()
    ledger.wait_settled(fault.name, SETTLE_SECONDS)
    seconds = time.monotonic() - ended
    result.count = ledger.count(fault.name, fault.trap, fault.every)
    result.count.recovery_seconds = round(seconds, 1)
    result.emitter, result.notes, result.problems = (
        load.figures,
        experiment.notes,
        experiment.problems,
    )
    result.judge(cuts=fault.cuts)
    result.seconds = round(time.monotonic() - began, 1)
    return result
