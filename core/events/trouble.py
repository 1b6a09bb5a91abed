"""Which errors are the database's bad moment, and how an error reads without secrets."""

from __future__ import annotations

import json
import sqlite3
import traceback
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from core.events.event import MASK, Event, ModelRef

_ERROR_LENGTH = 2000
# Classes of SQLSTATE: connection, resources, operator intervention; then rollback and lock codes.
_PASSING_CLASSES = ("08", "53", "57")
# A statement that was cancelled took too long: that is the statement's fault, not the server's.
_LASTING_CODES = ("57014",)
_PASSING_CODES = ("40001", "40P01", "55P03")
_PASSING_SQLITE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_passing(error: BaseException | None, alias: str) -> bool:
    """Tell whether this is a lost connection, a deadlock, a serialisation failure or a lock.

    Such an error says nothing about the event that was being handled.
    """
    if isinstance(error, InterfaceError):
        # With a connection that works, the handler used it wrongly.
        connection = connections[alias]
        return connection.connection is None or not connection.is_usable()
    if not isinstance(error, DatabaseError):
        return False
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        # The low byte is the primary code of SQLite's extended ones.
        return (code & 0xFF) in _PASSING_SQLITE
    state = getattr(cause, "sqlstate", None)
    if state is None:
        # libpq reports a connection that broke without an SQLSTATE.
        return isinstance(error, OperationalError)
    if state in _LASTING_CODES:
        return False
    return state[:2] in _PASSING_CLASSES or state in _PASSING_CODES


def drop_if_broken(alias: str) -> None:
    """Close a connection that an error has left unusable, so that the next use opens another.

    Celery closes connections around tasks by count, not by state, when it keeps them.
    """
    connection = connections[alias]
    if connection.in_atomic_block or not connection.errors_occurred:
        return
    if connection.is_usable():
        connection.errors_occurred = False
    else:
        connection.close()


def describe(error: object, secrets: Iterable[str]) -> str:
    """Return an error as one short text in which sensitive values are hidden."""
    text = _text(error)
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {text}"
    return _storable(hide(text, secrets)[:_ERROR_LENGTH])


def trace(error: BaseException, secrets: Iterable[str]) -> str:
    """Return the traceback of an error in which sensitive values are hidden."""
    return _storable(hide("".join(traceback.format_exception(error)), secrets))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"(no text: {type(error).__name__})"


def _storable(text: str) -> str:
    """Return the text without what neither a database nor a log can take."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return the text with these secrets hidden, also as a URL, JSON or Python would write them."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _forms(secret: str) -> Iterator[str]:
    if len(secret) > 2:
        yield secret
        yield quote(secret, safe="")
        yield quote_plus(secret)
        yield json.dumps(secret)[1:-1]
        yield repr(secret)[1:-1]


def secrets_of(event: Event, stored: str) -> set[str]:
    """Return the sensitive values of an event as texts.

    They are taken from what was stored as well: a handler may have changed the payload, or it may
    not have been readable.
    """
    if not event.sensitive:
        return set()
    try:
        payload = json.loads(stored)
    except ValueError:
        payload = {}
    return {
        text
        for data in (event.data, payload if isinstance(payload, dict) else {})
        for name in event.sensitive
        for text in _leaves(data.get(name))
    }


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, ModelRef):
        yield from (str(value), value.text)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
