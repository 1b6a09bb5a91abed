"""One way of doing the work: its processes and how the benchmark talks to them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING, Any, Self

import psutil

from config.settings.environment import BASE_DIR
from config.stack.processes import ManagedProcess, Supervisor

from . import child
from .stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 2
_LOOK_EVERY = 0.02
# Seconds after which something must have gone wrong.
_PATIENCE = 30.0
_LONGEST_CALL = 900.0


class Stuck(Exception):
    """The workers of a side did not finish in time."""


class Side:
    """A driver that fires and workers that carry out the effects, in one environment."""

    def __init__(
        self,
        name: str,
        *,
        environment: Mapping[str, str],
        workers: Sequence[Sequence[str]],
        supervisor: Supervisor,
        workdir: Path,
    ) -> None:
        self.name = name
        self.stamps = Stamps(workdir / f"{name}.stamps")
        self.environment = {**environment, "BENCH_STAMPS": str(self.stamps.path)}
        self._supervisor = supervisor
        self._workers = self._described(workers, workdir)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the driver; the workers are started by `start`."""
        self._driver = self._stack.enter_context(
            ProcessPoolExecutor(
                1, get_context("spawn"), initializer=child.set_up, initargs=(self.environment,)
            )
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.resume()
        self._supervisor.stop(*[process.name for process in self._workers if process.child])
        self._stack.close()

    def call(self, function: str, **arguments: Any) -> Any:
        """Call `module.function` of this package in the driver and return what it returns.

        Raises TimeoutError when that takes very long.
        """
        return self.submit(function, **arguments).result(_LONGEST_CALL)

    def submit(self, function: str, **arguments: Any) -> Future[Any]:
        """Do as `call`, without waiting for it."""
        return self._driver.submit(child.call, function, arguments)

    def start(self) -> None:
        """Start the workers. A first piece of work shows that they are there, and warms them up."""
        for process in self._workers:
            self._supervisor.add(process)
            self._supervisor.start(process.name)
        self.begin()
        self.call("driver.prepare", events=100)
        self.call("driver.wake")
        self.wait(400, seconds=90)
        self.begin()

    def begin(self) -> None:
        """Forget all work and what it left."""
        self.call("driver.reset")
        self.stamps.clear()

    def pause(self) -> None:
        """Stop the workers in their tracks, so that nothing runs until `resume`.

        Not in the middle of a transaction: its locks would hold up everybody else.
        """
        deadline = time.monotonic() + _PATIENCE
        self._signal(SIGSTOP)
        while not self.call("driver.is_quiet"):
            self._signal(SIGCONT)
            if time.monotonic() > deadline:
                raise Stuck(f"{self.name}: the workers never were between two transactions")
            time.sleep(_LOOK_EVERY)
            self._signal(SIGSTOP)

    def resume(self) -> None:
        """Let the workers go on."""
        self._signal(SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the workers for the length of a block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def wait(self, effects: int, *, seconds: float) -> None:
        """Wait until there were so many effects. Raises Stuck when that takes too long."""
        deadline = time.monotonic() + seconds
        while self.stamps.count() < effects:
            if time.monotonic() > deadline:
                logs = "\n".join(process.tail() for process in self._workers)
                raise Stuck(f"{self.name}: {self.stamps.count()} of {effects} effects.\n{logs}")
            time.sleep(_LOOK_EVERY)

    def cpu(self) -> float:
        """Return the seconds of processor time that the workers have used, with ended children."""
        leaders = [process.cpu_times() for process in self._leaders()]
        times = [process.cpu_times() for process in self._processes()]
        return float(
            sum(each.user + each.system for each in times)
            + sum(each.children_user + each.children_system for each in leaders)
        )

    def memory(self) -> int:
        """Return the bytes that the workers hold in memory."""
        return sum(process.memory_info().rss for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        found = self._leaders()
        return [each for leader in found for each in (leader, *leader.children(recursive=True))]

    def _leaders(self) -> list[psutil.Process]:
        return [psutil.Process(each.pid) for each in self._workers if each.pid]

    def _signal(self, number: Any) -> None:
        for process in self._workers:
            if process.child:
                self._supervisor.kill(process.name, number)

    def _described(self, workers: Sequence[Sequence[str]], workdir: Path) -> list[ManagedProcess]:
        return [
            ManagedProcess(
                name=f"{self.name}-{number}",
                command=[sys.executable, *command],
                environment={**os.environ, **self.environment},
                log=workdir / f"{self.name}-{number}.log",
                cwd=BASE_DIR,
            )
            for number, command in enumerate(workers)
        ]
