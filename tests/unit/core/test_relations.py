"""What is announced when many-to-many relations change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.events import Event, capture_events
from tests.sample.models import Account, Club, Room

pytestmark = pytest.mark.django_db


@pytest.fixture
def club() -> Club:
    """A stored club without members."""
    return Club.objects.create()


@pytest.fixture
def accounts() -> list[Account]:
    """Three stored accounts, in the order of their keys."""
    made = [Account.objects.create(name=str(n)) for n in range(3)]
    return sorted(made, key=lambda account: str(account.pk))


@pytest.fixture
def events(club: Club, accounts: list[Account]) -> Iterator[list[Event]]:
    """The events fired since `club` and `accounts` were there."""
    with capture_events() as fired:
        yield fired


def said(events: list[Event]) -> list[tuple[str, str, Any]]:
    return [(event.name, event.data["pk"], event.data["changes"]) for event in events]


def test_what_came_and_what_went(club: Club, accounts: list[Account], events: list[Event]) -> None:
    """Adding, removing, setting and clearing name the keys that went and those that came."""
    a, b, c = (account.pk for account in accounts)
    club.members.add(*accounts[:2])
    club.members.add(accounts[0])
    club.members.remove(accounts[0])
    club.members.set([accounts[2]])
    club.members.clear()
    club.members.clear()
    assert said(events) == [
        ("model.updated", str(club.pk), {"members": change})
        for change in ([[], [a, b]], [[a], []], [[b], []], [[], [c]], [[c], []])
    ]


def test_from_the_other_end(club: Club, accounts: list[Account], events: list[Event]) -> None:
    """The instance through which it is done is the one that changed."""
    accounts[0].clubs.add(club)
    assert said(events) == [("model.updated", str(accounts[0].pk), {"clubs": [[], [club.pk]]})]


def test_models_without_life_cycle_signals(club: Club, events: list[Event]) -> None:
    """A relation to another model is announced at the end that has life cycle signals."""
    room = Room.objects.create()
    room.clubs.add(club)
    assert events == []
    club.rooms.clear()
    assert said(events) == [("model.updated", str(club.pk), {"rooms": [[room.pk], []]})]


def test_relations_to_itself(club: Club, events: list[Event]) -> None:
    """A symmetrical relation is announced once."""
    other = Club.objects.create()
    del events[:]
    club.friends.add(other)
    assert said(events) == [("model.updated", str(club.pk), {"friends": [[], [other.pk]]})]


def test_excluded_relations(club: Club, accounts: list[Account], events: list[Event]) -> None:
    """A relation in `event_exclude` is nobody's news."""
    club.guests.set(accounts)
    assert events == []


def test_many_at_once(club: Club, events: list[Event]) -> None:
    """An event names at most 1000 keys."""
    made = Account.objects.bulk_create([Account(name=f"m{n}") for n in range(1001)])
    del events[:]
    club.members.set(made)
    assert [len(event.data["changes"]["members"][1]) for event in events] == [1000, 1]
