"""`python -m config.demo` (`make demo`): the whole system on this machine, put to the test.

It starts everything on the embedded default, lets a crowd buy tickets over HTTP while things go
wrong, then counts every effect. It exits with 0 only if nothing was lost or doubled.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from requests import RequestException

from config.demo.client import ApiError
from config.demo.fakes import FakeServer, fake_server
from config.settings.environment import VAR_DIR
from config.stack import Stack, StackError

ORDERS = 2_500


class EffectsDifferError(Exception):
    """What happened is not what was promised."""


def main() -> int:
    """Run the demo; return the exit code."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with _workdir() as workdir, fake_server() as fakes:
            _play(workdir, fakes, options)
            return 0
    except KeyboardInterrupt:
        print("\nStopped; nothing was left running.")
        return 130
    except (StackError, ApiError, RequestException, EffectsDifferError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.demo", description=__doc__)
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"how many, {ORDERS} if not set")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    return parser.parse_args()


def _play(workdir: Path, fakes: FakeServer, options: argparse.Namespace) -> None:
    began = time.monotonic()
    print("Starting Valkey, web, worker, beat and Flower ...", flush=True)
    settings = "config.demo.settings"
    with Stack(workdir, env=_environment(workdir, fakes), settings=settings) as stack:
        _join(stack)
        # These need models, so Django has to be set up, for the database of this stack.
        from config.demo.report import report
        from config.demo.story import Story
        from config.demo.view import open_view

        view = open_view()
        try:
            story = Story(stack, fakes, view, orders=options.orders)
            story.play()
        finally:
            view.close()
        passed = report(story, seconds=time.monotonic() - began)
        if options.keep:
            _wait_for_ctrl_c()
        print("Stopping ...", flush=True)
    if not passed:
        raise EffectsDifferError("effects were lost or doubled")


def _wait_for_ctrl_c() -> None:
    print("Everything is left running; Ctrl-C stops it.", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


def _join(stack: Stack) -> None:
    """Set Django up in this process as it is in the processes of the stack."""
    os.environ.update(stack.environment)
    # Importing the stack has read the settings already, as they are without it.
    for name in [name for name in sys.modules if name.startswith("config.settings")]:
        del sys.modules[name]
    django.setup()


def _environment(workdir: Path, fakes: FakeServer) -> dict[str, str]:
    """Return what makes the demo independent of this machine's servers and accounts."""
    return {
        "DATABASE_URL": f"sqlite:///{workdir}/db.sqlite3",
        "REDIS_URL": "",
        "CELERY_BROKER_URL": "",
        "TWILIO_ACCOUNT_SID": "ACdemo",
        "TWILIO_AUTH_TOKEN": "demo",
        "TWILIO_FROM_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": fakes.url,
        "POSTHOG_API_KEY": "phc_demo",
        "POSTHOG_HOST": fakes.url,
        "TICKETS_CITY_GUIDE_URL": f"{fakes.url}/city-guide",
        # When it stops, all is settled and counted. Celery waits the whole time for any open task.
        "CELERY_SOFT_SHUTDOWN_SECONDS": "0",
    }


@contextmanager
def _workdir() -> Iterator[Path]:
    """Give a fresh directory, deleted at the end, but kept for its logs after a failure."""
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="demo-", dir=VAR_DIR))
    failed = False
    try:
        yield directory
    except Exception:
        failed = True
        print(f"The logs are in {directory / 'log'}/", file=sys.stderr)
        raise
    finally:
        if not failed:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
