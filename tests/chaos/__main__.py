"""`python -m tests.chaos [--quick] [--only FAULT] [--database NAME]` (`make chaos`).

Exits with 0 if every promise was kept, with 1 if not, with 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from config.settings.environment import BASE_DIR, VAR_DIR
from config.stack import StackError

from .faults import DATABASES, FAULTS
from .report import show, write
from .trial import MISSED, Result, run

DIRECTORY = VAR_DIR / "chaos"


def main() -> int:
    """Run what was asked for, print a table, write JSON."""
    options = _parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if options.into:
            _run_one(options)
            return 0
        results = _in_own_processes(options.database or DATABASES, sys.argv[1:])
    except KeyboardInterrupt:
        if not options.into:
            print("Stopped.")
        return 130
    show(results)
    path = DIRECTORY / "chaos.json"
    write(results, path, quick=options.quick)
    print(f"Figures: {path}   logs: {DIRECTORY}/<database>/log/")
    return int(any(result.verdict == MISSED for result in results))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter faults, fewer repetitions")
    parser.add_argument(
        "--only", action="append", choices=[f.name for f in FAULTS], help="only this fault"
    )
    parser.add_argument("--database", action="append", choices=DATABASES, help="only this one")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_own_processes(databases: Sequence[str], arguments: list[str]) -> list[Result]:
    """Run the databases side by side, each in a process: Django is set up once in a process."""
    with tempfile.TemporaryDirectory() as directory:
        files = {database: Path(directory) / database for database in databases}
        command = [sys.executable, "-m", "tests.chaos", *arguments]
        children = [
            subprocess.Popen(
                [*command, "--into", str(file), "--database", database],
                cwd=BASE_DIR,
                # Ctrl-C comes to them from here, and once only.
                start_new_session=True,
            )
            for database, file in files.items()
        ]
        try:
            codes = [child.wait() for child in children]
        except KeyboardInterrupt:
            _stop(children)
            raise
        if any(codes):
            raise SystemExit(max(codes))
        return [result for file in files.values() for result in pickle.loads(file.read_bytes())]


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.send_signal(signal.SIGINT)
    for child in children:
        child.wait()


def _run_one(options: argparse.Namespace) -> None:
    database = options.database[-1]
    faults = [fault for fault in FAULTS if not options.only or fault.name in options.only]
    try:
        results = run(
            database,
            faults,
            quick=options.quick,
            workdir=DIRECTORY / database,
            tell=lambda text: print(text, flush=True),
        )
    except StackError as error:
        raise SystemExit(f"The processes did not start. {error}") from error
    options.into.write_bytes(pickle.dumps(results))


if __name__ == "__main__":
    sys.exit(main())
