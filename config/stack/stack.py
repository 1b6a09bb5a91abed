"""The stack: which processes there are, in which environment, and in which order they start."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from signal import SIGKILL, Signals
from types import TracebackType
from typing import Self

from celery import Celery

from config.settings.environment import BASE_DIR, Environment, local_secret

from .options import Options
from .processes import Death, ManagedProcess, StackError, Supervisor
from .servers import PostgresServer, ValkeyServer, free_port

READY_SECONDS = 60.0
PROCESSES = ("web", "worker", "beat", "flower")
# So that the web server's own lines look like those of Django.
GRANIAN_LOGGING = BASE_DIR / "config" / "granian_logging.json"


class Stack:
    """Starts, watches and ends the processes of the system.

    `env` overrides the environment of every child; `process_env` that of single ones, such as
    `{"worker-2": {...}}`. `processes` may leave some of web, worker, beat and flower out. Ports are
    the preferred ones (8000, 5555) if they are free and `fixed_ports` is set, otherwise any.
    `settings` is the Django settings module of all of them.
    Logs are in `workdir/log/<name>.log`.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        env: Mapping[str, str] | None = None,
        workers: int | None = None,
        processes: Sequence[str] = PROCESSES,
        postgres: bool = False,
        fixed_ports: bool = False,
        process_env: Mapping[str, Mapping[str, str]] | None = None,
        settings: str = "config.settings",
    ) -> None:
        self.workdir = workdir.absolute()
        self.workdir.mkdir(parents=True, exist_ok=True)
        self.supervisor = Supervisor()
        self.valkey: ValkeyServer | None = None
        self.postgres = PostgresServer(self.workdir) if postgres else None
        self._given = {**os.environ, **(env or {})}
        self._process_env = process_env or {}
        self._processes = processes
        self._settings = settings
        reader = Environment(self._given)
        self.options = Options.read(reader, self.workdir)
        if reader.problems:
            raise StackError("\n".join(f"{p.name}: {p.message} {p.hint}" for p in reader.problems))
        self.workers = self.options.workers if workers is None else workers
        self.web_port = free_port(self.options.web_port if fixed_ports else 0)
        self.flower_port = free_port(self.options.flower_port if fixed_ports else 0)

    @property
    def web(self) -> str:
        """Return the address of the web process, without a slash at the end."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def flower(self) -> str:
        """Return the address of Flower; `options.flower_auth` is its user:password."""
        return f"http://127.0.0.1:{self.flower_port}"

    @property
    def deaths(self) -> list[Death]:
        """Return every unexpected end of a process so far."""
        return self.supervisor.deaths

    @cached_property
    def environment(self) -> dict[str, str]:
        """Return the environment of the children, with the addresses of the stack's servers."""
        own = {
            "VAR_DIR": str(self.workdir),
            "STATIC_ROOT": str(self.workdir / "static"),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": self._settings,
            "REMAP_SIGTERM": "SIGQUIT",  # see CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT
        }
        # What a deployment has to decide is decided here for one machine and one person.
        defaults = {
            "DEBUG": "off",
            "HTTPS": "off",
            "SECRET_KEY": local_secret(self.workdir / "secret_key"),
            "CELERY_SOFT_SHUTDOWN_SECONDS": "5",
        }
        if self.postgres:
            own["DATABASE_URL"] = self.postgres.url()
        if self.needs_valkey():
            self.valkey = ValkeyServer(self.workdir)
            defaults["CELERY_BROKER_URL"] = self.valkey.broker_url(db=0)
            defaults["REDIS_URL"] = self.valkey.url(db=1)
        given = {key: value for key, value in self._given.items() if value}
        return {**defaults, **given, **own}

    def needs_valkey(self) -> bool:
        """Tell whether the cache or the broker is not given, so that an own server runs."""
        return not (self._given.get("REDIS_URL") and self._given.get("CELERY_BROKER_URL"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the servers, migrate, start the processes and wait until all are ready."""
        self.supervisor.open()
        try:
            self._start_servers()
            with ThreadPoolExecutor() as pool:
                steps = [("migrate", "--no-input")]
                if "web" in self._processes:
                    steps.append(("collectstatic", "--no-input"))
                list(pool.map(lambda step: self.manage(*step), steps))
            self._add_processes()
            for name in self._processes:
                self.supervisor.start(name)
            for name in self._processes:
                self.supervisor.wait_ready(name, READY_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process: first those that use the servers, then the servers.

        A PostgreSQL server of the stack's own loses its data; SQLite and Valkey keep theirs.
        """
        names = [name for name in self.supervisor.processes if name not in ("valkey", "postgres")]
        self.supervisor.stop(*names)
        self.supervisor.close()
        for server in (self.valkey, self.postgres):
            if server:
                server.remove()

    def kill(self, name: str, number: Signals = SIGKILL, *, whole: bool = True) -> None:
        """Send a signal to a process or family ("worker" is all workers) as a fault.

        With `whole` the process's own children, such as a worker's pool, get it too. What dies is
        brought back.
        """
        self.supervisor.kill(name, number, whole=whole)

    def stop_process(self, name: str) -> None:
        """End a process or family and leave it down."""
        self.supervisor.stop(name)

    def start_process(self, name: str, *, timeout: float = READY_SECONDS) -> None:
        """Start a process or family that is down and wait until it is ready."""
        self.supervisor.start(name)
        self.supervisor.wait_ready(name, timeout)

    def restart(self, name: str) -> None:
        """End a process or family properly and start it again."""
        self.stop_process(name)
        self.start_process(name)

    def wait_ready(self, name: str, *, timeout: float = READY_SECONDS) -> None:
        """Wait until a process or family is ready, for example after `kill`."""
        self.supervisor.wait_ready(name, timeout)

    def pid(self, name: str) -> int | None:
        """Return the process id of a process while it lives."""
        return self.supervisor.processes[name].pid

    def log(self, name: str) -> str:
        """Return what a process has written so far."""
        path = self.supervisor.processes[name].log
        return path.read_text(errors="replace") if path.exists() else ""

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of manage.py in the stack's environment; raises when it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environment,
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            command = " ".join(arguments)
            raise StackError(f"manage.py {command} failed:\n{done.stdout}{done.stderr}")
        return done

    def add(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] = lambda: True,
        grace: float = 15.0,
    ) -> None:
        """Take one more process under supervision; `start_process(name)` starts it."""
        extra = {**(env or {}), **self._process_env.get(name, {})}
        self.supervisor.add(
            ManagedProcess(
                name=name,
                command=command,
                environment={**self.environment, **extra},
                log=self.workdir / "log" / f"{name}.log",
                cwd=BASE_DIR,
                ready=ready,
                grace=grace,
            )
        )

    def add_worker(self, name: str) -> None:
        """Add a worker that takes from every queue; the name must begin with "worker-"."""
        command = _celery("worker", "--hostname", f"{name}@signalbox")
        env = {"CELERY_WORKER_CONCURRENCY": str(self.options.concurrency)}
        self.add(name, command, env=env, ready=lambda: self._answers_ping(name))

    def _start_servers(self) -> None:
        self.environment  # noqa: B018  # decides whether a Valkey server is needed
        for server in (self.valkey, self.postgres):
            if server:
                self.supervisor.add(server.process())
                self.supervisor.start(server.name)
                self.supervisor.wait_ready(server.name, READY_SECONDS)
        if self.postgres:
            self.postgres.create_database()

    def _add_processes(self) -> None:
        if "web" in self._processes:
            self.add("web", self._web_command(), ready=self._answers("web", "/health/live/"))
        for number in range(1, self.workers + 1):
            if "worker" in self._processes:
                self.add_worker(f"worker-{number}")
        if "beat" in self._processes:
            self.add("beat", _celery("beat"))
        if "flower" in self._processes:
            self.add(
                "flower",
                _celery("flower", "--address=127.0.0.1", f"--port={self.flower_port}"),
                env=self._flower_environment(),
                ready=self._answers("flower", "/healthcheck"),
            )

    def _web_command(self) -> list[str]:
        static = str(self.workdir / "static")
        return [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "config.wsgi:application"),
            *("--host", "127.0.0.1", "--port", str(self.web_port), "--no-ws"),
            *("--blocking-threads", str(self.options.web_threads)),
            *("--static-path-mount", static, "--log-config", str(GRANIAN_LOGGING)),
        ]

    def _flower_environment(self) -> dict[str, str]:
        # In the environment, since a command line can be read by every user of the machine.
        return {
            "FLOWER_BASIC_AUTH": self.options.flower_auth,
            "FLOWER_MAX_TASKS": "10000",
            # What a delivery task returns tells which routes ran and what became of their events.
            "FLOWER_TASKS_COLUMNS": "name,state,kwargs,result,received,runtime,worker",
        }

    def _answers(self, name: str, path: str) -> Callable[[], bool]:
        def answers() -> bool:
            address = self.web if name == "web" else self.flower
            try:
                with urllib.request.urlopen(f"{address}{path}", timeout=2) as response:
                    return bool(response.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        return answers

    @cached_property
    def _control(self) -> Celery:
        return Celery("stack", broker=self.environment["CELERY_BROKER_URL"], set_as_current=False)

    def _answers_ping(self, name: str) -> bool:
        try:
            replies = self._control.control.ping([f"{name}@signalbox"], timeout=0.2)
        except self._control.connection().connection_errors:
            time.sleep(0.2)
            return False
        return bool(replies)


def _celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "config.celery", *arguments]
