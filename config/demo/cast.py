"""The people and the happenings of the demo."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from config.demo.client import Client
from core.events import muted
from examples.tickets.models import Organiser

ADMIN = "demo"
TITLES = [
    "Night Train",
    "Signals and Noise",
    "The Long Platform",
    "Level Crossing",
    "Branch Line Blues",
    "The Last Semaphore",
    "Points and Crossings",
    "Steam on Sunday",
]
SMALL, SMALL_CAPACITY = "A Chamber Concert", 12
UNLISTABLE = "Ghost Train \N{GHOST}"


@dataclass(frozen=True)
class Cast:
    """Who takes part, signed in, and what is on."""

    password: str
    staff: Client
    buyers: list[Client]
    organiser: str
    happenings: list[str]
    small: str

    def publish(self, title: str, capacity: int) -> str:
        """Put a happening on sale through the API and return its id."""
        return _publish(self.staff, self.organiser, title, capacity)


def gather(url: str, *, buyers: int, capacity: int) -> Cast:
    """Create accounts and an organiser, sign everybody in, publish the happenings."""
    password = secrets.token_urlsafe(9)
    owner, *people = _accounts(password, buyers)
    organiser = str(Organiser.objects.create(name="The Old Signal Box", owner=owner).pk)
    with ThreadPoolExecutor() as pool:
        names = [person.get_username() for person in (owner, *people)]
        staff, *clients = pool.map(lambda name: Client(url, name, password), names)
    return Cast(
        password=password,
        staff=staff,
        buyers=clients,
        organiser=organiser,
        happenings=[_publish(staff, organiser, title, capacity) for title in TITLES],
        small=_publish(staff, organiser, SMALL, SMALL_CAPACITY),
    )


def _accounts(password: str, buyers: int) -> list[Any]:
    # Hashing takes a third of a second: once is enough for accounts that share a password.
    hashed = make_password(password)
    user = get_user_model()
    people = [user(username=f"buyer-{number}", password=hashed) for number in range(buyers)]
    owner = user(username=ADMIN, password=hashed, is_staff=True, is_superuser=True)
    with muted():
        return list(user.objects.bulk_create([owner, *people]))


def _publish(staff: Client, organiser: str, title: str, capacity: int) -> str:
    wanted = {
        "organiser": organiser,
        "title": title,
        "starts_at": (timezone.now() + timedelta(days=30)).isoformat(),
        "price": "24.50",
        "capacity": capacity,
    }
    return str(staff.must("POST", "happenings", wanted)["id"])
