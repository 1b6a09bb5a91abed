"""Where a delivery is, and what it is called."""

from __future__ import annotations

from django.db.models import IntegerChoices


class State(IntegerChoices):
    """Where a delivery is; once it is settled its row is gone and the history has it."""

    READY = 0, "ready"
    WAITING = 1, "waiting"
    LEASED = 2, "leased"
    DEAD = 3, "dead"


def delivery_id(event_id: object, pk: int) -> str:
    """Return the public id of a delivery: unique in the world, and it finds both rows."""
    return f"{event_id}:{pk}"
