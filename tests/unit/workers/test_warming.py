"""Warmers fill the cache, each for itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from workers.cache import warming
from workers.cache.tasks import warm


@pytest.fixture(autouse=True)
def no_warmers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without registered warmers."""
    monkeypatch.setattr(warming, "_warmers", {})
    return


def test_one_failing_warmer_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    """Every warmer runs; the one that fails is logged and reported."""
    ran = []
    warming.warmer("first")(lambda: 1 / 0)
    warming.warmer("second")(lambda: ran.append("second"))
    with caplog.at_level(logging.ERROR):
        assert warm() == {"first": False, "second": True}
    assert ran == ["second"]
    assert "ZeroDivisionError" in caplog.text


def test_a_name_belongs_to_one_function() -> None:
    """A second function under a name is refused, the same one again is not."""

    def function() -> None: ...

    warming.warmer("fee")(function)
    warming.warmer("fee")(function)
    with pytest.raises(ValueError, match="'fee' is registered already"):
        warming.warmer("fee")(lambda: None)


def test_the_task_has_the_name_that_beat_sends() -> None:
    """Beat knows the warm-up as `cache.warm`."""
    assert warm.name == "cache.warm"
