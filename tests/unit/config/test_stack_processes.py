"""Child processes are watched, brought back, and never outlive their supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.settings.environment import BASE_DIR
from config.stack import ManagedProcess, StackError, Supervisor, guardian

pytestmark = pytest.mark.system
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
# A leader with a child of its own, as a worker with its pool; the child ignores SIGTERM.
FAMILY = """
import signal, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
print(subprocess.Popen([sys.executable, "-c", code]).pid, flush=True)
time.sleep(600)
"""


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until the condition holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process exists and is not a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    supervisor.open()
    yield supervisor
    supervisor.close()


@pytest.fixture
def add(supervisor: Supervisor, tmp_path: Path) -> Callable[..., ManagedProcess]:
    def add(name: str, code: str = SLEEP, **options: object) -> ManagedProcess:
        log = tmp_path / f"{name}.log"
        process = ManagedProcess(
            name=name,
            command=[sys.executable, "-c", code],
            environment=os.environ,
            log=log,
            cwd=tmp_path,
            ready=lambda: log.exists() and bool(log.read_text()),
            **options,  # type: ignore[arg-type]  # grace and the like
        )
        supervisor.add(process)
        supervisor.start(name)
        return process

    return add


def test_what_dies_comes_back(supervisor: Supervisor, add: Callable[..., ManagedProcess]) -> None:
    """A killed process is started again and its death is on record."""
    process = add("web")
    supervisor.wait_ready("web", 10)
    first = process.pid
    supervisor.kill("web")
    until(lambda: process.pid not in (None, first))
    assert [(d.name, d.exit_code) for d in supervisor.deaths] == [("web", -signal.SIGKILL)]


def test_what_was_stopped_stays_down(
    supervisor: Supervisor, add: Callable[..., ManagedProcess]
) -> None:
    """Stopping is no death: nothing is recorded and nothing comes back."""
    process = add("beat")
    supervisor.wait_ready("beat", 10)
    supervisor.stop("beat")
    assert process.pid is None
    assert not supervisor.deaths
    supervisor.start("beat")
    until(lambda: process.pid)


def test_a_kill_reaches_the_whole_family(
    supervisor: Supervisor, add: Callable[..., ManagedProcess]
) -> None:
    """Killing a worker kills its pool, and "worker" names every worker."""
    processes = [add("worker-1", FAMILY), add("worker-2", FAMILY)]
    supervisor.wait_ready("worker", 10)
    pool = [int(process.log.read_text().split()[0]) for process in processes]
    supervisor.kill("worker")
    until(lambda: not any(map(alive, pool)))


def test_pool_processes_do_not_outlive_a_stop(
    supervisor: Supervisor, add: Callable[..., ManagedProcess]
) -> None:
    """Children that ignore SIGTERM are gone once `stop` returns."""
    process = add("worker-1", FAMILY, grace=2)
    supervisor.wait_ready("worker-1", 10)
    child = int(process.log.read_text().split()[0])
    supervisor.stop("worker-1")
    until(lambda: not alive(child))


def test_a_process_that_keeps_dying_is_reported(
    supervisor: Supervisor, add: Callable[..., ManagedProcess]
) -> None:
    """After three quick deaths waiting ends, with the last lines of the log."""
    add("web", "import sys; sys.exit('no such setting')", grace=1)
    supervisor.processes["web"].ready = lambda: False
    with pytest.raises(StackError, match="no such setting"):
        supervisor.wait_ready("web", 30)


def test_an_unknown_name_lists_the_known_ones(
    supervisor: Supervisor, add: Callable[..., ManagedProcess]
) -> None:
    """A typo in a process name is answered with the names there are."""
    add("web")
    with pytest.raises(StackError, match="'wep'; there are: web"):
        supervisor.kill("wep")


def test_nothing_survives_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of the supervisor ends its children and their children."""
    log = tmp_path / "worker.log"
    script = f"""
import os, sys, time
from pathlib import Path
from config.stack import ManagedProcess, Supervisor
supervisor = Supervisor()
supervisor.open()
supervisor.add(ManagedProcess("worker", [sys.executable, "-c", {FAMILY!r}], os.environ,
    Path({str(log)!r}), Path({str(tmp_path)!r})))
supervisor.start("worker")
print(supervisor.processes["worker"].pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    with parent:
        leader = int(parent.stdout.readline())
        until(lambda: log.exists() and log.read_text())
        child = int(log.read_text())
        parent.kill()
    until(lambda: not alive(leader) and not alive(child), guardian.GRACE_SECONDS + 5)
