"""Repositories: reading and writing the rows of one model, with errors that can be told apart."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError as FieldValueError
from django.db import IntegrityError, connections, models, router, transaction

from core.db_toolkit.keyset import KeysetPage, akeyset_page, keyset_page
from core.db_toolkit.pagination import (
    DEFAULT_SIZE,
    Order,
    PaginationParams,
    PaginationResult,
    apaginate,
    ordered,
    paginate,
)
from core.events.suggest import did_you_mean
from core.exceptions import AlreadyExistsError, DatabaseError, NotFoundError, ValidationError
from core.helpers import require_whole, shortened
from core.rows.values import (
    REFUSED_VALUES,
    clean,
    could_be,
    fields_by_name,
    is_key,
    is_uuid,
    refuse_shape,
)
from core.transactions import Session

Row = TypeVar("Row", bound=models.Model)
Filters = Mapping[str, Any] | None

# PostgreSQL's SQLSTATE of unique_violation; SQLite's extended codes of UNIQUE, PRIMARYKEY, ROWID.
_DUPLICATE_STATE = "23505"
_DUPLICATE_CODES = {2067, 1555, 2579}


class _IntegrityText:
    """Lets `str(error)` name the column in the database's words; `message` does not leak them."""

    def __str__(self) -> str:
        cause = getattr(self, "__cause__", None)
        message = super().__str__()
        return f"{message}: {cause}" if cause else message


class DuplicateRowError(_IntegrityText, AlreadyExistsError, IntegrityError):
    """There is a row with these values already."""


class RefusedRowError(_IntegrityText, DatabaseError, IntegrityError):
    """The database refused the row, since it breaks a constraint."""


class _Repository(Generic[Row]):
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
        found: Any = model or self.model
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
        self.using = using or (session.using if session else None)
        if self.using is not None:
            connections[self.using]  # raises for an alias that is not there
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
                refuse_shape(field, value)
                rows = rows.filter(**{field.attname if is_key(field, value) else field.name: value})
            except REFUSED_VALUES as error:
                if is_uuid(field) and isinstance(value, str):
                    return rows.none()
                raise self._refused(name, value, error) from error
        return rows

    def _list(self, filters: Filters, order_by: Order, limit: int | None) -> Any:
        rows = self.query(filters)
        if limit is not None:
            require_whole("limit", limit, 1)
        if order_by is not None or limit is not None:
            rows = ordered(rows, order_by)
        return rows[:limit]

    def _create(self, data: Mapping[str, Any]) -> Row:
        values = self._values(data)
        with self._translated(), transaction.atomic(using=self._database()):
            return self.manager.create(**values)

    def _update(self, pk: Any, data: Mapping[str, Any]) -> Row:
        values = self._values(data)
        using = self._database()
        with self._translated(), transaction.atomic(using=using):
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
        try:
            return self.manager.using(using).select_for_update(of=("self",)).get(pk=pk)
        except self.model.DoesNotExist:
            return None
        except REFUSED_VALUES:
            if could_be(self.model._meta.pk, pk):
                raise
            return None

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
        why = "; ".join(error.messages) if isinstance(error, FieldValueError) else str(error)
        return ValidationError(
            f"{self._label}.{name} cannot be {shortened(value)}: {why}", details={name: why}
        )

    def _missing(self, pk: Any) -> NotFoundError:
        return NotFoundError(f"{self._label} {shortened(pk)} not found")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise what the database refuses as an error that says whether it is a duplicate."""
        try:
            yield
        except (DuplicateRowError, RefusedRowError, models.ProtectedError, models.RestrictedError):
            raise
        except IntegrityError as error:
            if _is_duplicate(error):
                raise DuplicateRowError(
                    f"{self._label}: there is a row with these values already"
                ) from error
            raise RefusedRowError(f"{self._label}: the database refused the row") from error

    def _database(self) -> str:
        return self.using or router.db_for_write(self.model)

    @property
    def _label(self) -> str:
        return str(self.model._meta.object_name)


class BaseRepository(_Repository[Row]):
    """Reads and writes the rows of one model.

    `class UserRepository(BaseRepository[User])` adds finders; `BaseRepository[User]()` works by
    itself. Data and filters map names of fields to values; an unknown field, or a value that a
    field cannot have, raises ValidationError before anything is written.
    """

    def get_by_id(self, pk: Any) -> Row | None:
        """Return the row with this key; None if there is none or this can be no key."""
        try:
            return self.manager.get(pk=pk)
        except self.model.DoesNotExist:
            return None
        except REFUSED_VALUES:
            if could_be(self.model._meta.pk, pk):
                raise
            return None

    def get_by_field(self, field: str, value: Any) -> Row | None:
        """Return the row in which the field has this value, or None.

        Raises the model's MultipleObjectsReturned when there are several.
        """
        try:
            return self.query({field: value}).get()
        except self.model.DoesNotExist:
            return None

    def list(
        self, filters: Filters = None, *, order_by: Order = None, limit: int | None = None
    ) -> builtins.list[Row]:
        """Return the rows whose fields equal the filters, as a list."""
        return [*self._list(filters, order_by, limit)]

    def list_paginated(
        self,
        page: int | str = 1,
        size: int | str = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> PaginationResult[Row]:
        """Return a page of the rows, in the given order or that of the model, then by key."""
        return paginate(self.query(filters), PaginationParams(page, size), order_by)

    def list_keyset(
        self,
        after: str | None = None,
        size: int = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> KeysetPage[Row]:
        """Return the rows behind the cursor `after`, or the first ones; see `keyset_page`."""
        return keyset_page(self.query(filters), after=after, size=size, order_by=order_by)

    def create(self, data: Mapping[str, Any]) -> Row:
        """Insert a row and return it; a failure leaves the transaction around it usable.

        Raises DuplicateRowError (an AlreadyExistsError and an IntegrityError) when its values are
        taken, RefusedRowError (a DatabaseError and an IntegrityError) for another constraint.
        """
        return self._create(data)

    def update(self, pk: Any, data: Mapping[str, Any]) -> Row:
        """Lock the row, change these fields by `save()` and return it.

        Raises NotFoundError when there is none, and what `create` raises.
        """
        return self._update(pk, data)

    def delete(self, pk: Any) -> bool:
        """Delete the row, softly if its model does that; return False if there is none."""
        return self._delete(pk)


class AsyncRepository(_Repository[Row]):
    """Does as `BaseRepository`, awaited."""

    async def get_by_id(self, pk: Any) -> Row | None:
        """Return the row with this key; None if there is none or this can be no key."""
        try:
            return await self.manager.aget(pk=pk)
        except self.model.DoesNotExist:
            return None
        except REFUSED_VALUES:
            if could_be(self.model._meta.pk, pk):
                raise
            return None

    async def get_by_field(self, field: str, value: Any) -> Row | None:
        """Return the row in which the field has this value, or None.

        Raises the model's MultipleObjectsReturned when there are several.
        """
        try:
            return await self.query({field: value}).aget()
        except self.model.DoesNotExist:
            return None

    async def list(
        self, filters: Filters = None, *, order_by: Order = None, limit: int | None = None
    ) -> builtins.list[Row]:
        """Return the rows whose fields equal the filters, as a list."""
        return [row async for row in self._list(filters, order_by, limit)]

    async def list_paginated(
        self,
        page: int | str = 1,
        size: int | str = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> PaginationResult[Row]:
        """Return a page of the rows, in the given order or that of the model, then by key."""
        return await apaginate(self.query(filters), PaginationParams(page, size), order_by)

    async def list_keyset(
        self,
        after: str | None = None,
        size: int = DEFAULT_SIZE,
        order_by: Order = None,
        *,
        filters: Filters = None,
    ) -> KeysetPage[Row]:
        """Return the rows behind the cursor `after`, or the first ones; see `keyset_page`."""
        return await akeyset_page(self.query(filters), after=after, size=size, order_by=order_by)

    async def create(self, data: Mapping[str, Any]) -> Row:
        """Insert a row and return it; raises what `BaseRepository.create` raises."""
        return await sync_to_async(self._create)(data)

    async def update(self, pk: Any, data: Mapping[str, Any]) -> Row:
        """Change these fields of the row; raises what `BaseRepository.update` raises."""
        return await sync_to_async(self._update)(pk, data)

    async def delete(self, pk: Any) -> bool:
        """Delete the row, softly if its model does that; return False if there is none."""
        return await sync_to_async(self._delete)(pk)


@cache
def _bound(repository: type[Any], model: type[models.Model]) -> type[Any]:
    name = f"{repository.__name__}[{model.__name__}]"
    return type(name, (repository,), {"model": model, "__module__": repository.__module__})


def _is_duplicate(error: IntegrityError) -> bool:
    cause = error.__cause__
    return (
        getattr(cause, "sqlstate", None) == _DUPLICATE_STATE
        or getattr(cause, "sqlite_errorcode", None) in _DUPLICATE_CODES
    )
