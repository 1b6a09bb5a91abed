"""Event: the envelope that handlers get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model

MASK = "***"
_TEXT_LENGTH = 200


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model instance as an event carries it: which model, which key, and how it read then."""

    model: str
    pk: Any
    text: str = field(default="", compare=False)

    @classmethod
    def of(cls, instance: Model) -> ModelRef:
        """Return the reference to a saved instance."""
        label = instance._meta.label_lower
        return cls(label, instance.pk, str(instance)[:_TEXT_LENGTH])

    def get(self) -> Model:
        """Load the instance, soft-deleted ones too.

        Raises LookupError when the model is gone and its DoesNotExist when the row is.
        """
        found: Model = apps.get_model(self.model)._base_manager.get(pk=self.pk)
        return found

    def __str__(self) -> str:
        return f"{self.model}:{self.pk}"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, as it was recorded.

    `id` is a UUIDv7, `sender` "app.model" or a dotted path, `key` the ordering and coalescing key,
    `causation_id` the event that was being handled when this one was fired. In a handler,
    `delivery_id` is the same over all attempts (the idempotency key for the outside world) and
    `attempt` counts the handlings from 1.
    """

    id: UUID
    name: str
    version: int
    data: dict[str, Any] = field(repr=False)
    sender: str
    key: str | None
    occurred_at: datetime
    actor_id: str | None = None
    tenant_id: str | None = None
    correlation_id: str | None = None
    causation_id: UUID | None = None
    delivery_id: str | None = None
    attempt: int | None = None
    sensitive: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def public_data(self) -> dict[str, Any]:
        """The payload without its sensitive values, for logs and people."""
        return mask(self.data, self.sensitive)


def mask(data: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Return a copy of the payload with the values of these fields hidden."""
    return {name: MASK if name in names else value for name, value in data.items()}
