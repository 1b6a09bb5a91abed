"""What happens to events while processes and servers fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.support import USUAL, Site, until
from tests.nodes import LocalProcess

pytestmark = pytest.mark.system
LONG = 60.0
# Enough to end a process meanwhile, and less than the lease of the slow handler.
A_WHILE = 3.0


@pytest.fixture
def beat(env: dict[str, str], tmp_path: Path) -> Iterator[LocalProcess]:
    """A beat process."""
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "beat"]
    process = LocalProcess("beat", command, env, tmp_path / "log" / "beat.log")
    yield process
    process.remove()


@pytest.mark.parametrize("kind", [USUAL], indirect=True, ids="+".join)
def test_a_killed_worker_loses_nothing_and_doubles_nothing_atomic(site: Site) -> None:
    """What a worker held when it died is handled again, outside under the same delivery_id."""
    site.order(seconds=A_WHILE)
    until(lambda: "packed" in site.steps())
    site.worker.kill("SIGKILL")
    site.order(20)
    site.worker.restart()
    site.wait_for(*["billed"] * 21, "packed", "packed", "shipped")
    packed = [effect for effect in site.state()["effects"] if effect["step"] == "packed"]
    assert len({effect["delivery_id"] for effect in packed}) == 1
    assert [effect["attempt"] for effect in packed] == [1, 2]


def test_an_emptied_broker_loses_nothing(site: Site) -> None:
    """The broker carries no work: what it forgets, the sweep finds."""
    site.worker.kill("SIGSTOP")
    try:
        site.order(10)
        with closing(site.setup.broker.container.client) as broker:
            broker.flushall()
    finally:
        site.worker.kill("SIGCONT")
    site.wait_for(*["billed"] * 10)


class TestWithoutWakeUps:
    """The web process reaches no broker, so that each of its wake-ups is lost."""

    @pytest.fixture
    def web_env(self, env: dict[str, str]) -> dict[str, str]:
        """An address where nobody listens."""
        return {**env, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}

    def test_without_beat_the_workers_own_timer_finds_the_work(self, site: Site) -> None:
        """A lost wake-up costs about a second, with beat dead as well."""
        site.order(3)
        site.wait_for(*["billed"] * 3, seconds=10)

    @pytest.mark.parametrize("variables", [{"EVENTS_SWEEP_SECONDS": "3600"}])
    def test_beat_finds_the_work(self, site: Site, beat: LocalProcess) -> None:
        """Beat's sweep alone finds the work as well."""
        site.order(3)
        site.wait_for(*["billed"] * 3)


@pytest.mark.parametrize("kind", [USUAL], indirect=True, ids="+".join)
def test_sigterm_lets_running_handlers_finish(site: Site) -> None:
    """A deployment interrupts nobody who is quick enough, and what was not begun waits."""
    site.order(seconds=1.0)
    until(lambda: "packed" in site.steps())
    site.worker.kill("SIGTERM")
    site.order(5)
    site.worker.wait(LONG)
    assert site.steps().count("shipped") == 1
    site.worker.restart()
    site.wait_for(*["billed"] * 6, "packed", "shipped")


@pytest.mark.parametrize("variables", [{"CELERY_SOFT_SHUTDOWN_SECONDS": "0.5"}])
def test_sigterm_does_not_wait_without_end(site: Site) -> None:
    """A handler that takes longer than the shutdown may is handled again by the next worker."""
    site.order(seconds=A_WHILE)
    until(lambda: "packed" in site.steps())
    site.worker.kill("SIGTERM")
    site.worker.wait(LONG)
    assert "shipped" not in site.steps()
    site.worker.restart()
    site.wait_for("billed", "packed", "packed", "shipped")


def test_a_worker_survives_the_restart_of_its_broker(site: Site) -> None:
    """The same process goes on, whatever it had reserved when the broker went away."""
    pid = site.worker.pid
    site.order(seconds=1.0)
    until(lambda: "packed" in site.steps())
    site.setup.broker.restart()
    site.order(4)
    site.wait_for(*["billed"] * 5, "packed", "shipped")
    assert site.worker.status == "running"
    assert site.worker.pid == pid
