"""`python -m config.stack` (`make up`): run the whole stack until Ctrl-C."""

import fcntl
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.settings.environment import VAR_DIR

from .processes import StackError
from .stack import Stack


def main() -> int:
    """Start the stack, print where it is, wait for a signal, stop it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with _only_one(VAR_DIR / "stack.lock"):
            print("Starting web, worker, beat and Flower ...", flush=True)
            with Stack(VAR_DIR, fixed_ports=True) as stack:
                print(_summary(stack), flush=True)
                _follow(stack)
    except KeyboardInterrupt:
        print("Stopped.")
    except StackError as error:
        print(f"The stack did not start. {error}", file=sys.stderr)
        return 1
    return 0


def _follow(stack: Stack) -> None:
    seen = 0
    while True:
        for death in stack.deaths[seen:]:
            at = time.strftime("%H:%M:%S", time.localtime(death.at))
            print(f"{at} {death.name} ended with {death.exit_code}; starting it again", flush=True)
        seen = len(stack.deaths)
        time.sleep(0.2)


def _summary(stack: Stack) -> str:
    lines = {
        "web": f"{stack.web}/",
        "admin": f"{stack.web}/admin/   (.venv/bin/python manage.py createsuperuser)",
        "flower": f"{stack.flower}/   ({stack.options.flower_auth})",
        "logs": f"{stack.workdir / 'log'}/",
    }
    table = "\n".join(f"  {name:<8}{value}" for name, value in lines.items())
    return f"Signalbox is up. Ctrl-C stops everything.\n{table}"


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"Another stack is running in {path.parent}.") from None
        yield


if __name__ == "__main__":
    sys.exit(main())
