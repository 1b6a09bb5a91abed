"""The command line."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from .bench import FULL, QUICK, Bench
from .report import Report

CASES = ("emission", "drain", "latency", "memory", "claim", "peers", "embedded")


def main() -> int:
    """Run the cases; return 1 when a budget was missed or not everything was measured."""
    options = _parse()
    size = QUICK if options.quick else FULL
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    report = Report(size=size)
    complete = True
    with (
        tempfile.TemporaryDirectory(prefix="signalbox-bench-") as workdir,
        Bench(size=size, workdir=Path(workdir), say=report.say) as bench,
    ):
        try:
            for name in options.only or CASES:
                case = import_module(f"tests.benchmarks.cases.{name}")
                for row in case.run(bench):
                    report.add(row)
        except KeyboardInterrupt:
            report.say("stopped: what was measured so far follows")
            complete = False
    report.print()
    report.write()
    return 1 if report.missed or not complete else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a first impression in two minutes")
    parser.add_argument("--only", action="append", choices=CASES, help="may be given repeatedly")
    parser.add_argument("--rounds", type=int, help="how often each figure is measured")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        sys.exit("--rounds must be at least 1")
    return options
