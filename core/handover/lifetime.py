"""The life of a process: what a handover does when it forks and when it ends."""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
from typing import Protocol
from weakref import WeakSet

import billiard.util


class Follower(Protocol):
    """What has a thread, and so has to know."""

    def after_fork(self) -> None:
        """Start afresh in a child."""

    def close(self) -> None:
        """End with the process; it may be called twice."""


_followers: WeakSet[Follower] = WeakSet()


def follow(follower: Follower) -> None:
    """Let it know of every fork."""
    _followers.add(follower)


def close_at_exit(follower: Follower) -> None:
    """Close it at the end of this process, however the process came to be."""
    atexit.register(follower.close)
    # Processes of multiprocessing (granian's) and billiard (Celery's) skip atexit.
    for util in (multiprocessing.util, billiard.util):
        util.Finalize(None, follower.close, exitpriority=100)


def _after_fork() -> None:
    for follower in list(_followers):
        follower.after_fork()


os.register_at_fork(after_in_child=_after_fork)
