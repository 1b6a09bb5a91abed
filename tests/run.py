"""Runs the test suite: all of it on SQLite, then what uses a database again on PostgreSQL.

`python -m tests.run [pytest arguments]`. Each run is one pytest process. Servers are those of the
environment, those on this machine, or embedded ones; what cannot be had is named at the end, and
fails the run where the environment says CI=true. The last line counts the tests of both runs.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests import services

LONGEST_RUN_SECONDS = 600
MISSING_SERVICE = re.compile(r"needs \w+: ")


@dataclass
class Outcome:
    """What came of one pytest process."""

    database: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0
    exit_code: int = 0
    missing: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{self.database:<11}{counts} in {self.seconds:.0f} s"


def main(arguments: Sequence[str]) -> int:
    """Run the suite on both databases, print the account, return the exit code."""
    with tempfile.TemporaryDirectory(prefix="signalbox-tests-") as directory:
        workdir = Path(directory)
        outcomes = [_run("SQLite", {"DATABASE_URL": ""}, arguments, workdir)]
        try:
            with services.postgres_database(workdir) as url:
                again = ["--only-database", *arguments]
                outcomes.append(_run("PostgreSQL", {"DATABASE_URL": url}, again, workdir))
        except services.Missing as missing:
            outcomes.append(Outcome("PostgreSQL", missing={f"{missing} (the second run)": 0}))
    return _report(outcomes)


def _run(
    database: str, environment: Mapping[str, str], arguments: Sequence[str], workdir: Path
) -> Outcome:
    print(f"\n=== {database} ===", flush=True)
    report = workdir / f"{database}.xml"
    started = time.monotonic()
    try:
        code = subprocess.run(
            [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments],
            env={**os.environ, "ENV_FILE": os.devnull, **environment},
            timeout=LONGEST_RUN_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        code = 124
        print(f"pytest was stopped after {LONGEST_RUN_SECONDS} s.", flush=True)
    outcome = Outcome(database, seconds=time.monotonic() - started, exit_code=code)
    if report.exists():
        _count(ElementTree.parse(report).getroot(), outcome)
    return outcome


def _count(root: ElementTree.Element, outcome: Outcome) -> None:
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
    in_ci = os.environ.get("CI") == "true"
    return max([int(bool(missing and in_ci)), *(outcome.exit_code for outcome in outcomes)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
