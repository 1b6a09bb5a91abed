"""Records of requests are marked as they are handed over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core.request_logs import hand_over, sending


class Taken(list[dict[str, Any]]):
    """Stands in for the way to the workers."""

    hand_over = list.append


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    """What the workers would get."""
    taken = Taken()
    monkeypatch.setattr(sending, "_handover", lambda: taken)
    return taken


def test_each_record_has_an_id_and_a_time(taken: Taken, settings: Any) -> None:
    """Ours, whatever it came with: sinks know by them what comes twice, and when it was."""
    settings.REQUEST_LOG_SINKS = ["table"]
    before = datetime.now(UTC)
    given = {"id": "mine", "at": None, "path": "/"}
    assert hand_over(given)
    assert hand_over(given)
    first, second = taken
    assert UUID(first["id"]) != UUID(second["id"])
    assert before <= first["at"] <= second["at"] <= datetime.now(UTC)
    assert first["path"] == "/"
    assert given["id"] == "mine"


def test_without_sinks_nothing_is_handed_over(taken: Taken, settings: Any) -> None:
    """The caller is told, so that it can write a line instead."""
    settings.REQUEST_LOG_SINKS = ["none"]
    assert not hand_over({"path": "/"})
    assert not taken
