"""Finds or starts the servers that tests use; says which one is missing and why."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from kombu import Connection
from kombu.exceptions import OperationalError
from psycopg import sql
from redis import Redis

from config.stack.processes import StackError
from config.stack.servers import PostgresServer, ValkeyServer, running

LOCAL_POSTGRES = (
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
)
REDIS_MARK, REDIS_MARK_SECONDS = "signalbox-tests", 3600
LOCAL_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"


class Missing(Exception):
    """A service that no test can use, and why."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"needs {service}: {reason}")


@contextmanager
def postgres_database(workdir: Path) -> Iterator[str]:
    """Yield the address of an empty PostgreSQL database, dropped afterwards."""
    with postgres_server(workdir) as server:
        name = f"signalbox_{uuid4().hex[:12]}"
        _execute(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            _execute(server, drop.format(sql.Identifier(name)))


@contextmanager
def postgres_server(workdir: Path, *, fsync: bool = False) -> Iterator[str]:
    """Yield the address of the maintenance database of a PostgreSQL server.

    That is the server of `DATABASE_URL`, else one on this machine, else an embedded one.
    """
    with ExitStack() as stack:
        yield _given_postgres() or _local_postgres() or _embedded_postgres(stack, workdir, fsync)


@contextmanager
def redis_server(workdir: Path) -> Iterator[str]:
    """Yield the address of an empty Redis or Valkey: of `REDIS_URL`, else an embedded one."""
    if given := os.environ.get("REDIS_URL"):
        with _own_redis_database(given) as url:
            yield url
        return
    try:
        server = ValkeyServer(workdir)
        with running(server):
            yield server.url(db=0)
    except StackError as error:
        raise Missing("Redis", str(error)) from error


def rabbitmq_url() -> str:
    """Return the address of a RabbitMQ that answers: the given one or one on this machine."""
    given = os.environ.get("CELERY_BROKER_URL", "")
    url = given if given.startswith("amqp") else os.environ.get("RABBITMQ_URL", LOCAL_RABBITMQ)
    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
    except (OSError, OperationalError) as error:
        reason = f"none answers at {Connection(url).as_uri()}; set RABBITMQ_URL ({error})"
        raise Missing("RabbitMQ", reason) from error
    return url


def _given_postgres() -> str | None:
    given = os.environ.get("DATABASE_URL", "")
    return given if given.startswith("postgres") else None


def _local_postgres() -> str | None:
    for url in LOCAL_POSTGRES:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            continue
        return url
    return None


def _embedded_postgres(stack: ExitStack, workdir: Path, fsync: bool) -> str:
    try:
        server = PostgresServer(workdir, fsync=fsync)
        stack.callback(server.remove)
        stack.enter_context(running(server))
    except (StackError, OSError) as error:
        raise Missing("PostgreSQL", f"{error}; or set DATABASE_URL") from error
    return server.url("postgres")


@contextmanager
def _own_redis_database(server: str) -> Iterator[str]:
    """Yield the address of a database that was empty, and is emptied afterwards.

    The mark in it is for other test runs, which may go on at the same time.
    """
    for number in range(15, 0, -1):
        url = urlunsplit(urlsplit(server)._replace(path=f"/{number}"))
        with closing(Redis.from_url(url)) as database:
            if not database.set(REDIS_MARK, os.getpid(), nx=True, ex=REDIS_MARK_SECONDS):
                continue
            if database.dbsize() > 1:
                database.delete(REDIS_MARK)
                continue
            try:
                yield url
            finally:
                database.flushdb()
            return
    raise Missing("Redis", f"no database of {urlsplit(server).hostname} from 1 to 15 is empty")


def _execute(server: str, statement: sql.Composed) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)
