"""UniqueActiveConstraint: values that are unique among the rows that are not deleted."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Q, UniqueConstraint
from django.db.models.expressions import Combinable

_LIVE = Q(is_deleted=False)


class UniqueActiveConstraint(UniqueConstraint):
    """A UniqueConstraint that deleted rows do not take part in, so that they block no value.

    It takes what UniqueConstraint takes; a `condition` narrows it further. Migrations hold it as
    Django's own constraint, so they stay readable whatever becomes of this class.
    """

    def __init__(
        self, *expressions: str | Combinable, condition: Q | None = None, **options: Any
    ) -> None:
        if not isinstance(condition, Q | None):
            raise ValueError(f"condition={condition!r}: it must be a Q object, or be left out")
        condition = _LIVE & condition if condition else _LIVE
        super().__init__(*expressions, condition=condition, **options)

    def deconstruct(self) -> Any:
        """Return what migrations write: Django's constraint with its condition."""
        _, expressions, options = super().deconstruct()
        return "django.db.models.UniqueConstraint", expressions, options

    def clone(self) -> Any:
        """Return a copy, as Django takes one for each child of an abstract model."""
        return copy(self)

    def validate(
        self,
        model: type[models.Model],
        instance: models.Model,
        exclude: Collection[str] | None = None,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        """Raise Django's ValidationError, at the field if there is one, for a value that is taken.

        Forms leave out `is_deleted`, since nobody edits it; Django would then check nothing.
        """
        exclude = set(exclude or ()) - {"is_deleted"}
        try:
            super().validate(model, instance, exclude, using)
        except ValidationError as error:
            default = self.violation_error_message == self.default_violation_error_message
            if self.fields and default and self.violation_error_code is None:
                message = instance.unique_error_message(model, self.fields)
                raise ValidationError(message, code=message.code) from error
            raise
