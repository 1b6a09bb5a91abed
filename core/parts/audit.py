"""Who made a row and who saved it last."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models

from core.context import current_context
from core.rows.saving import RememberingPart
from core.rows.values import could_be

_LENGTH = 128


class ActorField(models.CharField):  # type: ignore[type-arg]  # not generic at run time
    """The id of a user as text, filled in with the current actor when a row is made.

    An instance of a user, a number or a UUID may be given as well. In migrations it is a CharField.
    """

    def deconstruct(self) -> Any:
        """Return what migrations store: an ordinary CharField."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.CharField", args, options

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Fill in the actor if this row is new, also one of many made at once."""
        if add and isinstance(model_instance, AuditPart):
            model_instance._fill_in_actor(self.attname)
        value = getattr(model_instance, self.attname)
        if not hasattr(value, "resolve_expression"):
            value = self.to_python(value)
            setattr(model_instance, self.attname, value)
        return value

    def to_python(self, value: Any) -> Any:
        """Return the id as text. Raises ValidationError for what cannot be the id of a user."""
        key = getattr(value, "pk", value) if not isinstance(value, str) else value
        if key is None or isinstance(key, str):
            return key
        if isinstance(key, bool) or not isinstance(key, int | UUID):
            raise self._refused(value)
        return str(key)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Return what is stored. Raises ValidationError for a text that cannot be an id."""
        if isinstance(value, str) and not (0 < len(value) <= _LENGTH and could_be(self, value)):
            raise self._refused(value)
        return super().get_db_prep_save(value, connection)

    def _refused(self, value: Any) -> ValidationError:
        return ValidationError(
            f"{self.name} must be a user or an id of 1 to {_LENGTH} characters without NUL, "
            f"got {value!r:.100}"
        )


class AuditPart(RememberingPart):
    """`created_by` and `updated_by` hold the actor of `core.context` unless they are set by hand.

    Without an actor they stay as they are. `deleted_at` is the application's to set, unless soft
    deletion is on.
    """

    created_by = ActorField(max_length=_LENGTH, null=True, blank=True, editable=False)
    updated_by = ActorField(max_length=_LENGTH, null=True, blank=True, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def _fill_in(self, names: frozenset[str] | None, using: str | None) -> set[str]:
        self._fill_in_actor("updated_by")
        filled = {"updated_by"} if "updated_by" in self.__dict__ else set()
        return super()._fill_in(names, using) | filled

    def _fill_in_actor(self, name: str) -> None:
        actor = current_context().actor_id
        held = self.__dict__.get(name)
        by_hand = held is not None and held != self._noted.get(name)
        if actor is not None and not by_hand:
            setattr(self, name, actor)
            # It stays "not set by hand" should this save fail.
            self._noted = {**self._noted, name: actor}
