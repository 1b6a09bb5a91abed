"""EventSignal: a Django signal whose firing is recorded."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Never

from asgiref.sync import sync_to_async
from django.db.models import Model
from django.dispatch import Signal
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from core.events import outbox
from core.events.conf import conf
from core.events.declarations import declared
from core.events.errors import EventPayloadError, InvalidSignal, UnknownSignalOption
from core.events.event import ModelRef
from core.events.payload import encode
from core.events.suggest import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}")
_KEY_LENGTH = 255
_NO_KEYS = (dict, list, tuple, set, frozenset, bytes)
# What Django itself passes to receivers, so no payload can.
_RESERVED = frozenset({"self", "sender", "signal"})

# What a declaration may say; those of Django's Signal are the last.
OPTIONS = (
    "version",
    "schema",
    "upcast",
    "key",
    "sensitive",
    "after_commit",
    "use_caching",
)

Upcast = Callable[[dict[str, Any], int], dict[str, Any]]


class EventSignal(Signal):
    """A Django signal with a name; whoever fires it leaves an event behind.

    `version` and `schema` (a dataclass) describe the payload; `upcast(data, version)` turns an
    older stored payload into the current one. `key` names the payload field that orders and
    coalesces. `sensitive` fields never appear in logs, admin, audit or analytics. With
    `after_commit`, firing inside a transaction of another database is recorded after its commit.
    """

    def __init__(
        self,
        name: str,
        *,
        version: int = 1,
        schema: type | None = None,
        upcast: Upcast | None = None,
        key: str | None = None,
        sensitive: Iterable[str] = (),
        after_commit: bool = False,
        use_caching: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown(f"EventSignal({name!r})", unknown, OPTIONS)
        super().__init__(use_caching=use_caching)
        self.name = _check_name(name)
        self.version = _check_version(name, version)
        self.schema = _check_schema(name, schema)
        self.upcast = _check_upcast(name, upcast)
        self.key = _check_key(name, key)
        self.sensitive = frozenset(check_sensitive(name, sensitive))
        self.after_commit = _check_after_commit(name, after_commit)
        self._hints = _hints_of(name, schema) if schema else {}
        declared.add(self)

    def send(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Record the event, then call the receivers; errors of both reach the caller."""
        outbox.record(self, sender, [named])
        return super().send(sender, **named)

    def send_robust(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Record the event, then call the receivers, whose errors are returned."""
        outbox.record(self, sender, [named])
        return super().send_robust(sender, **named)

    async def asend(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Do as `send`, for asynchronous callers."""
        await sync_to_async(outbox.record)(self, sender, [named])
        return await super().asend(sender, **named)

    async def asend_robust(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Do as `send_robust`, for asynchronous callers."""
        await sync_to_async(outbox.record)(self, sender, [named])
        return await super().asend_robust(sender, **named)

    def send_many(
        self, sender: Any, payloads: Iterable[Mapping[str, Any]]
    ) -> list[list[tuple[Any, Any]]]:
        """Record an event for each payload with one SQL statement, then call the receivers.

        Returns what the receivers returned, a list for each payload.
        """
        payloads = self._listed(payloads)
        outbox.record(self, sender, payloads)
        return [super(EventSignal, self).send(sender, **payload) for payload in payloads]

    def encode(self, payload: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the payload as JSON text, and its key.

        Raises EventPayloadError that names the signal and the field.
        """
        if not isinstance(payload, Mapping):
            raise EventPayloadError(
                f"{self.name}: the payload is {type(payload).__name__}; it must be a mapping"
            )
        for name in _RESERVED & payload.keys():
            raise EventPayloadError(
                f"{self.name}: {name!r} is an argument of send() itself; rename the field"
            )
        if self.schema is not None:
            payload = self._conform(payload)
        text = encode(payload, signal=self.name, limit=conf.max_payload_bytes)
        return text, self._key_of(payload)

    def _listed(self, payloads: Any) -> list[Mapping[str, Any]]:
        if isinstance(payloads, Iterable) and not isinstance(payloads, Mapping | str | bytes):
            return list(payloads)
        raise EventPayloadError(
            f"{self.name}: send_many(payloads={payloads!r:.80}): give a list of mappings, one for "
            "each event"
        )

    def _key_of(self, payload: Mapping[str, Any]) -> str | None:
        value = payload.get(self.key) if self.key else None
        if value is None:
            return None
        if isinstance(value, _NO_KEYS):
            raise EventPayloadError(
                f"{self.name}: the key {self.key!r} is {type(value).__name__}; "
                "a key is one value, such as an id"
            )
        text = str(ModelRef.of(value) if isinstance(value, Model) else value)
        if not 0 < len(text) <= _KEY_LENGTH:
            raise EventPayloadError(
                f"{self.name}: the key {self.key!r} has {len(text)} characters; "
                f"1 to {_KEY_LENGTH} are possible"
            )
        return text

    def _conform(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, self.schema))}
        unknown = payload.keys() - fields.keys()
        if unknown:
            raise EventPayloadError(
                f"{self.name}: {min(unknown)!r} is not a field of {self._schema_name}; "
                f"its fields are {', '.join(fields)}"
            )
        complete = {}
        for name, field in fields.items():
            value = payload[name] if name in payload else self._default(field)
            if not self._fits(value, self._hints[name]):
                raise EventPayloadError(
                    f"{self.name}: {name!r} is {type(value).__name__}; "
                    f"{self._schema_name} wants {field.type}"
                )
            complete[name] = value
        return complete

    def _default(self, field: dataclasses.Field[Any]) -> Any:
        if field.default is not dataclasses.MISSING:
            return field.default
        if field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
        raise EventPayloadError(f"{self.name}: {field.name!r} of {self._schema_name} is missing")

    @staticmethod
    def _fits(value: Any, hint: Any) -> bool:
        if isinstance(value, Model):
            return _is(value, hint) or _is(ModelRef(value._meta.label_lower, value.pk), hint)
        return _is(value, hint)

    @property
    def _schema_name(self) -> str:
        return getattr(self.schema, "__qualname__", repr(self.schema))

    def __repr__(self) -> str:
        return f"EventSignal({self.name!r}, version={self.version})"


def _is(value: Any, hint: Any) -> bool:
    try:
        check_type(value, hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError:
        return False
    return True


def refuse_unknown(call: str, unknown: Iterable[str], options: Sequence[str]) -> None:
    """Raise UnknownSignalOption that names the first of these and suggests one that exists."""
    for option in unknown:
        raise UnknownSignalOption(
            f"{call}: {option!r} is not an option{did_you_mean(option, options)}; "
            f"the options are {', '.join(options)}"
        )


def _check_after_commit(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidSignal(
            f"EventSignal({name!r}, after_commit={value!r}): it must be True or False"
        )
    return value


def _hints_of(name: str, schema: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(schema)
    except NameError as error:
        raise InvalidSignal(
            f"EventSignal({name!r}, schema={schema.__qualname__}): the name {error.name!r} in the "
            "type of a field cannot be resolved; import it where the schema is defined, and not "
            "for type checking only"
        ) from error


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidSignal(
            f"EventSignal({name!r}): a name has 1 to 100 letters, digits and . _ : / -, "
            "and begins with a letter or digit, such as 'order.paid'"
        )
    return name


def _check_version(name: str, version: Any) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 32768:
        raise InvalidSignal(f"EventSignal({name!r}, version={version!r}): it must be 1 to 32767")
    return version


def _check_upcast(name: str, upcast: Any) -> Upcast | None:
    if upcast is not None and not callable(upcast):
        raise InvalidSignal(
            f"EventSignal({name!r}, upcast={upcast!r}): it must be a function of data and version"
        )
    return typing.cast(Upcast | None, upcast)


def _check_key(name: str, key: Any) -> str | None:
    if key is not None and not (isinstance(key, str) and key):
        raise InvalidSignal(f"EventSignal({name!r}, key={key!r}): give the name of a payload field")
    return key


def _check_schema(name: str, schema: Any) -> type | None:
    if schema is not None and not (isinstance(schema, type) and dataclasses.is_dataclass(schema)):
        raise InvalidSignal(f"EventSignal({name!r}, schema={schema!r}): it must be a dataclass")
    return schema


def check_sensitive(name: str, sensitive: Any) -> list[str]:
    """Return these as a list, or raise InvalidSignal that names what is no field."""
    several = isinstance(sensitive, Iterable) and not isinstance(sensitive, str)
    fields = list(sensitive) if several else [sensitive]
    if not several or not all(isinstance(field, str) for field in fields):
        raise InvalidSignal(
            f"EventSignal({name!r}, sensitive={sensitive!r}): give a set of field names"
        )
    for field in fields:
        if not field or " " in field:
            raise InvalidSignal(f"EventSignal({name!r}): {field!r} cannot be a sensitive field")
    return fields
