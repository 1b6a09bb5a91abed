"""Runs the test suite: all of it on SQLite, and what uses a database again on PostgreSQL.

`python -m tests.run [pytest arguments]`. Each run is one pytest process; a third one has the tests
that start processes of the system, which mostly wait. All go on at the same time, each with servers
and databases of its own; the output of the first is seen at once, that of the others follows.
Servers are those of the environment, those on this machine, or embedded ones; what cannot be had is
named at the end, and fails the run where the environment says CI=true. The last line counts the
tests of all runs.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from xml.etree import ElementTree

from tests import services

LONGEST_RUN_SECONDS = 1500
STOPPED = 124
NO_TESTS = 5
MISSING_SERVICE = re.compile(r"needs \w+: ")
ON_SQLITE = {"DATABASE_URL": ""}
# The many processes that tests start would each compile the same modules anew.
WITH_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


@dataclass
class Outcome:
    """What came of one pytest process."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0
    exit_code: int = NO_TESTS
    missing: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{self.name:<11}{counts} in {self.seconds:.0f} s"


class Run:
    """One pytest process."""

    def __init__(
        self,
        name: str,
        environment: Mapping[str, str],
        arguments: Sequence[str],
        workdir: Path,
        *,
        beside: bool = False,
    ) -> None:
        self._name = name
        self._report = workdir / f"{name}.xml"
        self._output = workdir / f"{name}.log" if beside else None
        self._started = time.monotonic()
        if not beside:
            _title(name)
        with self._output.open("wb") if self._output else nullcontext() as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest", f"--junitxml={self._report}", *arguments],
                env={**os.environ, **WITH_BYTECODE, "ENV_FILE": os.devnull, **environment},
                stdout=output,
                stderr=output,
            )

    def outcome(self) -> Outcome:
        """Wait for the end, by force after a while, print what was kept, count what came of it."""
        limit = self._started + LONGEST_RUN_SECONDS - time.monotonic()
        try:
            code = self._process.wait(max(0, limit))
        except subprocess.TimeoutExpired:
            self.end()
            code = STOPPED
        if self._output:
            _title(self._name)
            print(self._output.read_text(errors="replace"), flush=True)
        if code == STOPPED:
            print(f"{self._name}: stopped after {LONGEST_RUN_SECONDS} s.", flush=True)
        outcome = Outcome(self._name, exit_code=code)
        if self._report.exists():
            _count(ElementTree.parse(self._report).getroot(), outcome)
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the process if it still runs."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main(arguments: Sequence[str]) -> int:
    """Run the suite on both databases, print the account, return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="signalbox-tests-") as name, ExitStack() as stack:
        workdir, outcomes = Path(name), []
        most = ["--system=none", *arguments]
        runs = [
            stack.enter_context(Run("SQLite", ON_SQLITE, most, workdir)),
            stack.enter_context(
                Run("processes", ON_SQLITE, ["--system=only", *arguments], workdir, beside=True)
            ),
        ]
        try:
            address = {"DATABASE_URL": stack.enter_context(services.postgres_database(workdir))}
            again = Run("PostgreSQL", address, ["--only-database", *most], workdir, beside=True)
            runs.append(stack.enter_context(again))
        except services.Missing as missing:
            outcomes.append(Outcome("PostgreSQL", missing={f"{missing} (the second run)": 0}))
        outcomes += [run.outcome() for run in runs]
    return _report(outcomes)


def _title(name: str) -> None:
    print(f"\n=== {name} ===", flush=True)


def _count(root: ElementTree.Element, outcome: Outcome) -> None:
    for suite in root.iter("testsuite"):
        outcome.seconds += float(suite.get("time", 0))
    for case in root.iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
        elif skipped is None:
            outcome.passed += 1
        else:
            outcome.skipped += 1
            reason = skipped.get("message", "")
            if MISSING_SERVICE.match(reason):
                outcome.missing[reason] = outcome.missing.get(reason, 0) + 1


def _report(outcomes: Sequence[Outcome]) -> int:
    print()
    for outcome in outcomes:
        print(outcome)
    missing: dict[str, int] = {}
    for outcome in outcomes:
        for reason, count in outcome.missing.items():
            missing[reason] = missing.get(reason, 0) + count
    for reason, count in missing.items():
        print(f"could not run {count or 'any'} tests: {reason}")
    print(f"{sum(o.passed for o in outcomes)} passed, {sum(o.failed for o in outcomes)} failed")
    return _exit_code(outcomes, missing)


def _exit_code(outcomes: Sequence[Outcome], missing: Mapping[str, int]) -> int:
    if missing and os.environ.get("CI") == "true":
        return 1
    # Where arguments choose tests, a run may have none of them, but not all runs.
    codes = [outcome.exit_code for outcome in outcomes if outcome.exit_code != NO_TESTS]
    return max(codes, default=NO_TESTS)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
