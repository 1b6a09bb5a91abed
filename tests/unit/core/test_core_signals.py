"""The signals that the system declares."""

from __future__ import annotations

from core import signals
from core.events import EventSignal


def test_names() -> None:
    """Every declared signal is an EventSignal; its dotted name is its name in Python."""
    names = {each: getattr(signals, each).name for each in signals.__all__}
    assert all(isinstance(getattr(signals, each), EventSignal) for each in names)
    assert {each: name.replace(".", "_") for each, name in names.items()} == {
        each: each for each in names
    }
    assert names["platform_fee_changed"] == "platform_fee.changed"
    assert len(set(names.values())) == len(names)
