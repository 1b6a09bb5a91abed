"""The vocabularies that apps share are defined once, and agree with what uses them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.conf import settings
from django.db import models

from core import choices, signals
from core.choices import (
    AUDIT_ACTION_CHOICES,
    AUDIT_ACTIONS,
    EVENT_STATUS_CHOICES,
    MAX_PROFILE_PICTURES,
    OTP_LENGTH,
    EventStatus,
    EventType,
    NotificationChannel,
    NotificationStatus,
    QueueName,
    Role,
)
from core.events import Event, EventSignal, registry
from workers.audit.routes import is_audited
from workers.notifications.channels import CHANNELS
from workers.notifications.models import Notification, NotificationPreference

VOCABULARIES = [
    each
    for each in vars(choices).values()
    if isinstance(each, type) and issubclass(each, models.TextChoices)
]


def test_the_names_import() -> None:
    """The constants that other code builds on have the values that it expects."""
    assert (OTP_LENGTH, MAX_PROFILE_PICTURES) == (4, 6)
    field = models.CharField(max_length=20, choices=EVENT_STATUS_CHOICES)
    assert field.choices == EventStatus.choices
    assert ("draft", "draft") in EVENT_STATUS_CHOICES


@pytest.mark.parametrize(
    "name", [name for name in vars(choices) if name.isupper() and "CHOICES" not in name]
)
def test_limits_make_sense(name: str) -> None:
    """A limit is a positive number, or a tuple without repeats."""
    value: Any = getattr(choices, name)
    if isinstance(value, tuple):
        assert value
        assert len(set(value)) == len(value)
    else:
        assert isinstance(value, int)
        assert value > 0
    smallest = getattr(choices, name.replace("MAX", "MIN"), value)
    assert smallest <= value


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=lambda each: each.__name__)
def test_every_word_is_labelled(vocabulary: type[models.TextChoices]) -> None:
    """Each value is lower case and has a label for people."""
    assert all(value == value.lower() and value for value in vocabulary.values)
    assert all(vocabulary.labels)


def test_event_types_are_the_declared_signals() -> None:
    """The list is exactly what `core.signals` declares."""
    declared = {
        signal.name
        for name in signals.__all__
        if isinstance(signal := getattr(signals, name), EventSignal)
    }
    assert set(EventType.values) == declared


def test_audit_actions_are_what_is_audited() -> None:
    """The actions are the event types that the audit log takes."""
    events = {each: cast(Event, SimpleNamespace(name=each.value)) for each in EventType}
    assert set(AUDIT_ACTIONS) == {each for each, event in events.items() if is_audited(event)}
    assert AUDIT_ACTION_CHOICES[0] == ("model.created", "row created")


def test_channels_and_states_are_those_of_notifications() -> None:
    """Models and channels use the shared words."""
    assert list(CHANNELS) == NotificationChannel.values
    for model in (Notification, NotificationPreference):
        assert model._meta.get_field("channel").choices == NotificationChannel.choices
    assert Notification._meta.get_field("status").choices == NotificationStatus.choices


def test_queues_are_those_that_workers_consume() -> None:
    """Celery declares the queues of the list, and every route of the workers uses one of them."""
    assert [queue.name for queue in settings.CELERY_TASK_QUEUES] == QueueName.values
    assert {route.queue for route in registry.routes()} <= set(QueueName.values)


def test_roles_go_from_high_to_low() -> None:
    """The order of the list is the order of power."""
    assert Role.values == ["admin", "moderator", "user", "guest"]
