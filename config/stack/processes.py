"""Child processes that are started, watched, brought back when they die, and always ended."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from . import guardian

POLL_SECONDS = 0.05
STEADY_SECONDS = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


class StackError(Exception):
    """A process of the stack could not be started or did not become ready."""


@dataclass(frozen=True)
class Death:
    """One unexpected end of a process."""

    name: str
    exit_code: int
    at: float


@dataclass
class ManagedProcess:
    """One child in a process group of its own, with its log file."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    cwd: Path
    ready: Callable[[], bool] = lambda: True
    user: int | None = None
    stop_signal: Signals = SIGTERM
    grace: float = 15.0
    wanted: bool = False
    failures: int = 0
    started_at: float = 0.0
    due_at: float = 0.0
    child: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        """Return the process id while the process lives."""
        return self.child.pid if self.child and self.child.poll() is None else None

    def spawn(self) -> None:
        """Start the child as the leader of a new process group; its output goes to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
                extra_groups=None if self.user is None else [],
            )
        self.started_at = time.monotonic()

    def send(self, number: Signals, *, whole: bool = True) -> None:
        """Send a signal to the process, or to the `whole` group: it and its own children."""
        if not self.child:
            return
        if whole:
            guardian.send(self.child.pid, number)
        elif self.pid:
            self.child.send_signal(number)

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Supervisor:
    """Keeps the wanted processes running; a thread brings back those that die, with backoff."""

    def __init__(self) -> None:
        self.processes: dict[str, ManagedProcess] = {}
        self.deaths: list[Death] = []
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._guardian: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the guardian and the watching thread."""
        self._guardian = subprocess.Popen(
            [sys.executable, "-S", guardian.__file__],
            stdin=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop every process, last started first, then the thread and the guardian."""
        self._stopping.set()
        if self._thread:
            self._thread.join()
        for names in self._stop_order():
            self.stop(names)
        if self._guardian and self._guardian.stdin:
            self._guardian.stdin.close()
            self._guardian.wait()

    def add(self, process: ManagedProcess) -> None:
        """Take a process under supervision without starting it."""
        if process.name in self.processes:
            raise StackError(f"There is a process named {process.name!r} already.")
        self.processes[process.name] = process

    def find(self, name: str) -> list[ManagedProcess]:
        """Return the process of that name, or the family: "worker" is worker-1, worker-2, ..."""
        found = [p for n, p in self.processes.items() if n == name or n.startswith(f"{name}-")]
        if not found:
            known = ", ".join(self.processes)
            raise StackError(f"There is no process named {name!r}; there are: {known}.")
        return found

    def start(self, name: str) -> None:
        """Start the process or family if it is not running; wait with `wait_ready`."""
        with self._lock:
            for process in self.find(name):
                process.wanted, process.failures = True, 0
                if not process.pid:
                    self._spawn(process)

    def stop(self, *names: str) -> None:
        """Ask processes or families to end, wait for their grace, then kill what remains."""
        with self._lock:
            stopped = [process for name in names for process in self.find(name)]
            for process in stopped:
                process.wanted = False
                process.send(process.stop_signal, whole=False)
        deadline = time.monotonic() + max((p.grace for p in stopped), default=0)
        for process in stopped:
            self._reap(process, deadline)

    def kill(self, name: str, number: Signals = SIGKILL, *, whole: bool = True) -> None:
        """Send a signal as a fault: what dies of it is brought back."""
        for process in self.find(name):
            process.send(number, whole=whole)

    def wait_ready(self, name: str, timeout: float) -> None:
        """Wait until the process or family is ready; raises `StackError` with the log's end."""
        deadline = time.monotonic() + timeout
        for process in self.find(name):
            enough = process.failures + 3
            while not (process.pid and process.ready()):
                if process.failures >= enough or time.monotonic() > deadline:
                    raise StackError(f"{process.name} did not become ready.\n{process.tail()}")
                time.sleep(POLL_SECONDS)

    def _stop_order(self) -> list[str]:
        return list(reversed(self.processes))

    def _reap(self, process: ManagedProcess, deadline: float) -> None:
        if not process.child:
            return
        try:
            process.child.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        # A pool child may outlive its leader.
        process.send(SIGKILL)
        process.child.wait()
        self._tell_guardian("-", process.child.pid)

    def _spawn(self, process: ManagedProcess) -> None:
        process.spawn()
        assert process.child
        self._tell_guardian("+", process.child.pid)

    def _tell_guardian(self, sign: str, group: int) -> None:
        try:
            if self._guardian and self._guardian.stdin:
                self._guardian.stdin.write(f"{sign}{group}\n")
        except (BrokenPipeError, ValueError):
            pass  # The guardian was killed: the supervisor still ends everything itself.

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            with self._lock:
                for process in self.processes.values():
                    self._look_after(process)

    def _look_after(self, process: ManagedProcess) -> None:
        if not process.wanted or not process.child or process.pid:
            return
        now = time.monotonic()
        if process.due_at <= process.started_at:
            self._bury(process, now)
        if now >= process.due_at:
            self._spawn(process)

    def _bury(self, process: ManagedProcess, now: float) -> None:
        assert process.child
        self.deaths.append(Death(process.name, process.child.returncode, time.time()))
        process.send(SIGKILL)  # its orphans
        self._tell_guardian("-", process.child.pid)
        steady = now - process.started_at > STEADY_SECONDS
        process.failures = 1 if steady else process.failures + 1
        process.due_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (process.failures - 1))
