"""From a request to its effects, through real processes."""

from __future__ import annotations

import pytest

from tests.acceptance.support import KINDS, Site

pytestmark = pytest.mark.system


@pytest.mark.parametrize("kind", KINDS, indirect=True, ids="+".join)
def test_an_event_fired_by_the_web_process_takes_effect(site: Site) -> None:
    """What a request commits, a worker turns into effects, on every database and broker."""
    site.order(5)
    site.order(seconds=0.01)
    site.wait_for(*["billed"] * 6, "packed", "shipped")


def test_an_event_fired_in_a_management_shell_takes_effect(site: Site) -> None:
    """A process that ends right after its commit still wakes the worker, or the sweep does."""
    site.manage(
        "shell",
        "--command",
        "from tests.acceptance.site.signals import ordered;"
        f"ordered.send(sender=None, run={site.run!r}, seconds=0)",
    )
    site.wait_for("billed")
