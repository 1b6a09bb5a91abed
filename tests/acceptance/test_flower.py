"""What a person sees in Flower."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from config.stack.servers import free_port
from tests.acceptance.support import PATIENCE, Site, until
from tests.nodes import LocalProcess

pytestmark = pytest.mark.system
LOGIN = ("signalbox", "secret")


@pytest.fixture
def flower(env: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of Flower, which watches the test's broker."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "celery", "-A", "config.celery", "flower"),
        *("--address=127.0.0.1", f"--port={port}"),
    ]
    own = {**env, "FLOWER_BASIC_AUTH": ":".join(LOGIN)}
    process = LocalProcess("flower", command, own, tmp_path / "log" / "flower.log")
    address = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{address}/healthcheck"))
    yield address
    process.remove()


def answers(address: str) -> bool:
    """Tell whether somebody answers there."""
    try:
        return requests.get(address, timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def delivered(flower: str) -> str:
    """Return what Flower shows as the results of the delivery tasks."""
    found = requests.get(f"{flower}/api/tasks", auth=LOGIN, timeout=PATIENCE)
    tasks: dict[str, Any] = found.json() if found.ok else {}
    return " ".join(
        str(task["result"]) for task in tasks.values() if task["name"] == "events.deliver"
    )


def test_flower_shows_which_route_ran_and_how_many_events_it_settled(
    flower: str, site: Site
) -> None:
    """A person with the password finds the route by its name, with how many events it settled."""
    assert requests.get(f"{flower}/api/tasks", timeout=PATIENCE).status_code == 401
    site.order()
    site.wait_for("billed")
    until(lambda: "'bill': {'done': 1}" in delivered(flower))
