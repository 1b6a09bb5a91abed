"""The engine's settings: defaults, and clear words about what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from core.events import EventsError, EventSignal
from core.events.checks import check_settings
from core.events.conf import DEFAULTS, conf
from core.events.errors import SettingsError
from core.events.models import EventRecord
from tests.unit.core.events.support import committing, record_route

CHANGES = [
    ("EVENTS_MODE", "inlined"),
    ("EVENTS_MODE", None),
    ("EVENTS_DATABASE", "nowhere"),
    ("EVENTS_MAX_PAYLOAD_BYTES", "lots"),
    ("EVENTS_MAX_PAYLOAD_BYTES", -1),
    ("EVENTS_MAX_PAYLOAD_BYTES", True),
    ("EVENTS_RETENTION_DAYS", -3),
    ("EVENTS_RETENTION_DAYS", None),
    ("EVENTS_RETENTION_DAYS", 0.5),
    ("EVENTS_RETENTION_DAYS", 10**11),
    ("EVENTS_WAKEUP_COALESCE_MS", -2),
    ("EVENTS_TASK_SECONDS", 0),
    ("EVENTS_TASK_SECONDS", float("nan")),
    ("EVENTS_LINGER_SECONDS", "short"),
    ("EVENTS_LINGER_SECONDS", 1e30),
    ("EVENTS_SWEEP_SECONDS", 0),
    ("EVENTS_SWEEP_SECONDS", float("inf")),
    ("EVENTS_PREPARED_STATEMENTS", "on"),
]


def test_the_settings_of_this_project_are_fine() -> None:
    """Nothing to complain about."""
    assert check_settings(None) == []


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_value_that_cannot_be_meant_is_named_by_check(name: str, value: Any) -> None:
    """`manage.py check` names the setting, the value and what is possible."""
    with override_settings(**{name: value}):
        (message,) = check_settings(None)
    assert message.is_serious()
    assert name in message.msg
    assert repr(value) in message.msg


@pytest.mark.parametrize("value", ["http://bell:6379/0", 6379])
def test_a_doorbell_that_is_no_redis_is_named_without_its_address(value: Any) -> None:
    """The address may hold a password."""
    with override_settings(EVENTS_DOORBELL_URL=value):
        (message,) = check_settings(None)
    assert message.is_serious()
    assert "EVENTS_DOORBELL_URL" in message.msg
    assert str(value) not in message.msg


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("EVENTS_DATABSE", "EVENTS_DATABASE"), ("EVENTS_MAX_PAYLOAD", "EVENTS_MAX_PAYLOAD_BYTES")],
)
def test_a_typo_is_named_with_what_was_meant(typo: str, meant: str) -> None:
    """A setting that nobody reads is as good as a bug."""
    with override_settings(**{typo: 1}):
        (message,) = check_settings(None)
    assert typo in message.msg
    assert meant in (message.hint or "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENTS_MODE", "inlined"),
        ("EVENTS_MAX_PAYLOAD_BYTES", "lots"),
        ("EVENTS_RETENTION_DAYS", "ninety"),
        ("EVENTS_SWEEP_SECONDS", None),
    ],
)
def test_reading_a_bad_value_raises_an_error_that_names_it(name: str, value: Any) -> None:
    """Who never runs the checks learns it at the first use."""
    attribute = {
        "EVENTS_MODE": "inline",
        "EVENTS_MAX_PAYLOAD_BYTES": "max_payload_bytes",
        "EVENTS_RETENTION_DAYS": "retention_days",
        "EVENTS_SWEEP_SECONDS": "sweep_seconds",
    }[name]
    with override_settings(**{name: value}), pytest.raises(SettingsError, match=name) as caught:
        getattr(conf, attribute)
    assert isinstance(caught.value, EventsError)
    assert repr(value) in str(caught.value)


@committing
@pytest.mark.parametrize(
    ("name", "value"), [("EVENTS_MODE", "inlined"), ("EVENTS_MAX_PAYLOAD_BYTES", "lots")]
)
def test_firing_with_a_bad_setting_writes_nothing_half(name: str, value: Any) -> None:
    """The error comes before anything is recorded."""
    signal = EventSignal("order.paid")
    record_route("order.*")
    with override_settings(**{name: value}), pytest.raises(SettingsError, match=name):
        signal.send(sender=None)
    assert not EventRecord.objects.exists()


def test_every_setting_has_a_default(settings: Any) -> None:
    """A project need not set any of them."""
    for name in DEFAULTS:
        if hasattr(settings, name):
            delattr(settings, name)
    assert conf.database == "default"
    assert conf.inline is False
    assert conf.max_payload_bytes == 262_144
    assert conf.retention_days == 90
    assert conf.doorbell_url is None
    assert min(conf.task_seconds, conf.linger_seconds, conf.sweep_seconds) > 0
