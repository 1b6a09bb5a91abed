"""Ends the process groups of a supervisor that died without ending them itself.

The supervisor writes `+<group>` and `-<group>` lines to standard input. When the supervisor dies,
however it dies, the kernel closes that pipe, and this process ends every group that is left. It
works on every POSIX system, and for grandchildren too, which Linux's parent-death signal does not.
"""

import os
import signal
import sys
import time

# A little more than a worker may take to finish what it does (CELERY_SOFT_SHUTDOWN_SECONDS here).
GRACE_SECONDS = 6.0


def main() -> None:
    """Follow the list of groups until the pipe closes, then end those that are left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line[0], int(line[1:])
        groups.add(group) if sign == "+" else groups.discard(group)
    end(groups, GRACE_SECONDS)


def end(groups: set[int], grace: float) -> None:
    """Send SIGTERM to each group, wait up to `grace` seconds, then SIGKILL what remains."""
    deadline = time.monotonic() + grace
    alive = {group for group in groups if send(group, signal.SIGTERM)}
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = {group for group in alive if send(group, 0)}
    for group in alive:
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> bool:
    """Send a signal to a process group (0 only asks) and tell whether the group exists."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
