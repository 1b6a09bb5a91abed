"""People and happenings for the tests of the examples."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from core.events import muted
from examples.tickets.models import Happening, Organiser


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Begin with an empty cache, which outlives a test in the memory of its process."""
    cache.clear()


@pytest.fixture
def person(db: None) -> Callable[..., Any]:
    """Return a function that creates a user; people differ by their names."""

    def create(name: str, **fields: Any) -> Any:
        user = get_user_model()(username=name, **fields)
        user.set_unusable_password()
        user.save()
        return user

    return create


@pytest.fixture
def owner(person: Callable[..., Any]) -> Any:
    """Return the user who owns `organiser`."""
    return person("owner")


@pytest.fixture
def buyer(person: Callable[..., Any]) -> Any:
    """Return somebody who buys."""
    return person("buyer")


@pytest.fixture
def organiser(owner: Any) -> Organiser:
    """Return somebody who puts on happenings."""
    with muted():
        return Organiser.objects.create(name="The Old Signal Box", owner=owner)


@pytest.fixture
def happening(organiser: Organiser) -> Callable[..., Happening]:
    """Return a function that creates a happening of 10 tickets at 20.00, without any event."""

    def create(**fields: Any) -> Happening:
        given = {
            "organiser": organiser,
            "title": "Night Train",
            "starts_at": timezone.now() + timedelta(days=7),
            "price": Decimal("20.00"),
            "capacity": 10,
        } | fields
        with muted():
            return Happening.objects.create(**given)

    return create


@pytest.fixture
def signed_in() -> Callable[[Any], Client]:
    """Return a function that signs a user in."""

    def sign_in(user: Any) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in
