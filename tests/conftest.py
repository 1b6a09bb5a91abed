"""What tests rely on: a database of their own, servers, an account of what could not run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from django.test import TransactionTestCase

from tests import services
from tests.flush import sql_flush

# What a power cut would take is no loss here.
SQLITE_IN_TESTS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"
POSTGRES_IN_TESTS = "-c synchronous_commit=off"
DATABASE_FIXTURES = {"db", "transactional_db", "postgres_url"}
SYSTEM = "pytest.mark.system"
MISSING = pytest.StashKey[dict[str, list[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only-database",
        action="store_true",
        help="run only tests that use a database: what a second run on another one needs",
    )
    parser.addoption(
        "--system",
        choices=["all", "only", "none"],
        default="all",
        help="run only tests that start processes of the system, or none of them",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: runs only when the tests run on PostgreSQL")
    config.addinivalue_line("markers", "sqlite: runs only when the tests run on SQLite")
    config.addinivalue_line("markers", "system: starts processes of the system and waits for them")
    config.stash[MISSING] = {}
    from config.celery import app  # needs pytest-django's set-up

    # No test may wake a worker on this machine that it did not start.
    app.conf.broker_url = "memory://"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare the run of the few system tests the import of all files without any."""
    if config.getoption("--system") != "only" or not collection_path.match("test_*.py"):
        return None
    return not _names_system_tests(collection_path) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    vendor = connections["default"].vendor
    other = {"postgresql": "sqlite", "sqlite": "postgres"}[vendor]
    dropped = [item for item in items if item.get_closest_marker(other)]
    if config.getoption("--only-database"):
        dropped += [item for item in items if not _uses_database(item)]
    if (part := config.getoption("--system")) != "all":
        system = [item for item in items if item.get_closest_marker("system")]
        if unnamed := [item.nodeid for item in system if not _names_system_tests(item.path)]:
            raise pytest.UsageError(f"{SYSTEM} has to be written in the file of {unnamed[0]}")
        dropped += system if part == "none" else list(set(items) - set(system))
    left_out = set(dropped)
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _names_system_tests(path: Path) -> bool:
    return SYSTEM in path.read_text()


def _uses_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    cls = getattr(item, "cls", None)
    return (
        bool(item.get_closest_marker("django_db"))
        or bool(fixtures & DATABASE_FIXTURES)
        or (isinstance(cls, type) and issubclass(cls, TransactionTestCase))
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    except services.Missing as missing:
        item.config.stash[MISSING].setdefault(str(missing), []).append(item.nodeid)
        pytest.skip(str(missing))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[MISSING] and os.environ.get("CI") == "true" and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing = terminalreporter.config.stash[MISSING]
    for reason, tests in missing.items():
        terminalreporter.section(f"could not run: {reason}")
        for test in tests:
            terminalreporter.line(test)


@pytest.fixture(scope="session")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the servers of this test run."""
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(workdir: Path) -> None:
    """Give each test run a database of its own, so that two runs do not meet."""
    settings = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        # A file, not memory: threads and processes then meet SQLite's real locking.
        settings["TEST"]["NAME"] = str(workdir / "test.sqlite3")
        settings["OPTIONS"] = settings["OPTIONS"] | {"init_command": SQLITE_IN_TESTS}
    else:
        settings["TEST"]["NAME"] = f"test_{settings['NAME']}_{os.getpid()}"
        settings["OPTIONS"] = settings["OPTIONS"] | {"options": POSTGRES_IN_TESTS}
        type(connections["default"].ops).sql_flush = sql_flush


@pytest.fixture(scope="session")
def postgres_url(workdir: Path) -> Iterator[str]:
    """The address of an empty PostgreSQL database for this test run."""
    with services.postgres_database(workdir) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(workdir: Path) -> Iterator[str]:
    """The address of a Redis or Valkey that this test run may fill."""
    with services.redis_server(workdir) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """The address of a RabbitMQ."""
    return services.rabbitmq_url()


@pytest.fixture(autouse=True)
def fresh_fee() -> None:
    """No test reads the platform fee that the process remembers from another one."""
    from core.fee.cache import begin_anew  # needs pytest-django's set-up

    begin_anew()
