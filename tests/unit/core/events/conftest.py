"""Each test of the engine begins without routes and leaves no trace in the wiring."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.core.events.support import Effects
from tests.unit.core.events.wiring import fresh_wiring


@pytest.fixture(autouse=True)
def wiring() -> Iterator[None]:
    """No route but the test's own; afterwards routes, signals and paces are what they were."""
    with fresh_wiring():
        yield


@pytest.fixture
def effects(db: None) -> Iterator[Effects]:
    """A table for what handlers do in the engine's database."""
    table = Effects()
    yield table
    table.drop()
