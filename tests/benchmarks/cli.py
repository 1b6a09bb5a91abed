"""The command line."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from .bench import FULL, QUICK, Bench
from .report import Report

CASES = (
    "emission",
    "drain",
    "latency",
    "memory",
    "claim",
    "edges",
    "peers",
    "embedded",
    "foundation",
)


def main() -> int:
    """Run the cases; return 1 when a budget was missed or something could not be measured."""
    options = _parse()
    size = QUICK if options.quick else FULL
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    report = Report(size=size)
    with (
        tempfile.TemporaryDirectory(prefix="signalbox-bench-") as workdir,
        Bench(size=size, workdir=Path(workdir), say=report.say) as bench,
    ):
        complete = _measure(options.only or CASES, bench, report)
    report.print()
    report.write()
    return 1 if report.missed or not complete else 0


def _measure(cases: Sequence[str], bench: Bench, report: Report) -> bool:
    """Run the cases; tell whether all of them came to their end."""
    complete = True
    for name in cases:
        try:
            for row in import_module(f"tests.benchmarks.cases.{name}").run(bench):
                report.add(row)
        except KeyboardInterrupt:
            report.say("stopped: what was measured so far follows")
            return False
        except Exception:
            # Whatever went wrong in one case says nothing about the figures of the others.
            report.say(f"{name} could not be measured:\n{traceback.format_exc()}")
            complete = False
    return complete


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a first impression in two minutes")
    parser.add_argument("--only", action="append", choices=CASES, help="may be given repeatedly")
    parser.add_argument("--rounds", type=int, help="how often each figure is measured")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        sys.exit("--rounds must be at least 1")
    return options
