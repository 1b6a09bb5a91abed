"""What both kinds of repositories do, and how: which model, which fields, which values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError as FieldValueError
from django.db import models, router, transaction

from core.db_toolkit.pagination import Order, ordered
from core.events.suggest import did_you_mean
from core.exceptions import NotFoundError, ValidationError
from core.helpers import require_whole, shortened
from core.repositories.errors import translated
from core.rows.values import (
    REFUSED_VALUES,
    asked,
    clean,
    could_be,
    fields_by_name,
    is_key,
    is_uuid,
)
from core.transactions import Session, require_alias

Row = TypeVar("Row", bound=models.Model)
Filters = Mapping[str, Any] | None

_USUAL_KEYS = (int, str, UUID)
MOST_ROWS = 10**9
_MAX_REASON = 200


class Repository(Generic[Row]):
    """The parent of both kinds."""

    model: Any = None

    def __class_getitem__(cls, item: Any) -> Any:
        # `BaseRepository[User]` is a class that knows its model, to use or to inherit from.
        if isinstance(item, type) and issubclass(item, models.Model):
            return _bound(cls, item)  # type: ignore[arg-type]  # a class is hashable
        return super().__class_getitem__(item)  # type: ignore[misc]  # typing.Generic has it

    def __init__(
        self,
        model: type[Row] | None = None,
        *,
        using: str | None = None,
        session: Session | None = None,
    ) -> None:
        """Take the model from here, from the attribute `model` or from `Repository[Model]`.

        `using` is the alias of a database; `session=tx.session` says the same. Raises TypeError
        when there is no model.
        """
        found: Any = self.model if model is None else model
        is_model = isinstance(found, type) and issubclass(found, models.Model)
        if not is_model or found is models.Model or found._meta.abstract:
            name = type(self).__name__
            raise TypeError(
                f"{name} needs a model with a table, as {name}[Model], as its attribute `model` "
                f"or as an argument; got {shortened(found)}"
            )
        if session is not None and not isinstance(session, Session):
            raise TypeError(f"session must be the session of a transaction, got {session!r}")
        self.model = found
        self.using = session.using if using is None and session else using
        if self.using is not None:
            require_alias(self.using)
        manager: models.Manager[Row] = found._default_manager
        self.manager = manager.db_manager(self.using) if self.using else manager

    def query(self, filters: Filters = None) -> models.QuerySet[Row, Row]:
        """Return the rows whose fields equal the filters, as a queryset to go on with.

        What is no UUID matches nothing. Raises ValidationError for unknown fields and for values
        that a field cannot have.
        """
        rows = self.manager.all()
        for name, value in self._mapping("filters", filters).items():
            field = self._field(name)
            try:
                value = asked(field, value)
                rows = rows.filter(**{field.attname if is_key(field, value) else field.name: value})
            except REFUSED_VALUES as error:
                if is_uuid(field) and isinstance(value, str):
                    return rows.none()
                raise self._refused(name, value, error) from error
        return rows

    def _having(self, field: str, value: Any) -> models.QuerySet[Row, Row]:
        self._field(field)  # before it is the key of a dict, which not everything can be
        return self.query({field: value})

    def _list(self, filters: Filters, order_by: Order, limit: int | None) -> Any:
        rows = self.query(filters)
        if limit is not None:
            require_whole("limit", limit, 1, MOST_ROWS)
        if order_by is not None or limit is not None:
            rows = ordered(rows, order_by)
        return rows[:limit]

    def _create(self, data: Mapping[str, Any]) -> Row:
        values = self._values(data)
        with translated(self._label), transaction.atomic(using=self._database()):
            return self.manager.create(**values)

    def _update(self, pk: Any, data: Mapping[str, Any]) -> Row:
        values = self._values(data)
        using = self._database()
        with translated(self._label), transaction.atomic(using=using):
            row = self._locked(pk, using)
            if row is None:
                raise self._missing(pk)
            for name, value in values.items():
                if self._field(name).primary_key and value != row.pk:
                    raise ValidationError(
                        f"{name} of {self._label} {shortened(row.pk)} cannot become "
                        f"{shortened(value)}: keys stay"
                    )
                setattr(row, name, value)
            row.save(using=using)
        return row

    def _delete(self, pk: Any) -> bool:
        using = self._database()
        with transaction.atomic(using=using):
            row = self._locked(pk, using)
            if row is None:
                return False
            row.delete(using=using)
        return True

    def _locked(self, pk: Any, using: str) -> Row | None:
        # Locked, so that save() writes over nothing that somebody else changes meanwhile.
        if not self._is_key(pk):
            return None
        try:
            return self.manager.using(using).select_for_update(of=("self",)).get(pk=pk)
        except self.model.DoesNotExist:
            return None
        except REFUSED_VALUES:
            if could_be(self.model._meta.pk, pk):
                raise
            return None

    def _is_key(self, pk: Any) -> bool:
        # What keys usually are is left to the query, since this is asked for each row; Django
        # would take 1.5 and True for 1.
        return type(pk) in _USUAL_KEYS or could_be(self.model._meta.pk, pk)

    def _values(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data as attributes of the model, each in the type of its field."""
        values: dict[str, Any] = {}
        for name, value in self._mapping("data", data).items():
            field = self._field(name)
            key = field.attname if is_key(field, value) else field.name
            if key in values or {field.name, field.attname} & values.keys():
                raise ValidationError(f"{self._label}.{field.name} is given twice, as {name} too")
            try:
                values[key] = clean(field, value)
            except REFUSED_VALUES as error:
                raise self._refused(name, value, error) from error
        return values

    def _mapping(self, what: str, given: Any) -> Mapping[str, Any]:
        if given is None and what == "filters":
            return {}
        if not isinstance(given, Mapping):
            raise ValidationError(f"{what} must map names of fields, got {shortened(given)}")
        return given

    def _field(self, name: Any) -> models.Field[Any, Any]:
        fields = fields_by_name(self.model)
        if not isinstance(name, str) or name not in fields:
            hint = did_you_mean(name, fields) if isinstance(name, str) else ""
            raise ValidationError(
                f"{self._label} has no field {shortened(name)}{hint}",
                details={"field": shortened(name)},
            )
        return fields[name]

    def _refused(self, name: str, value: Any, error: Exception) -> ValidationError:
        texts = error.messages if isinstance(error, FieldValueError) else [str(error)]
        # They repeat the value, however long it is.
        why = "; ".join(
            text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}…" for text in texts
        )
        return ValidationError(
            f"{self._label}.{name} cannot be {shortened(value)}: {why}", details={name: why}
        )

    def _missing(self, pk: Any) -> NotFoundError:
        return NotFoundError(f"{self._label} {shortened(pk)} not found")

    def _database(self) -> str:
        return self.using or router.db_for_write(self.model)

    @property
    def _label(self) -> str:
        return str(self.model._meta.object_name)


@cache
def _bound(repository: type[Any], model: type[models.Model]) -> type[Any]:
    name = f"{repository.__name__}[{model.__name__}]"
    return type(name, (repository,), {"model": model, "__module__": repository.__module__})
