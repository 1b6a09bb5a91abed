"""Takes out of an event whatever tells who somebody is, before it leaves the house."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any

from core.events import Event, ModelRef
from core.redaction import is_secret, words
from workers.redaction import json_integer

from .conf import conf

NOBODY = "system"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A field is personal when its name has one of these words. It also takes `plan_name` and the like:
# a number too few in a chart can be mended, a name too many cannot be called back.
_PERSONAL = _words(
    "name names firstname lastname fullname surname username nickname email mail phone mobile tel "
    "telephone fax msisdn whatsapp address street city postcode zip postal ip latitude longitude "
    "lat lon lng geo location birthday birthdate birth dob age gender sex ssn iban bic passport "
    "card license photo avatar picture signature text body message comment note notes bio "
    "subject useragent agent"
)
# A field is the id of a person when its name is one of these words, alone or with `id`, or ends
# in "by", as `changed_by`.
_PEOPLE = _words(
    "user buyer seller customer client owner actor author member guest host organiser organizer "
    "recipient sender payer attendee employee staff admin person profile account"
)
_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"']+")
_PHONE = re.compile(r"(?:\+|\b00)\d[\d\s()/.-]{6,}\d")


def pseudonym(user_id: object) -> str:
    """Return the name of a user that is always the same and that nobody can trace back.

    HMAC-SHA256 of the id: unlike a plain hash, it cannot be found by trying all ids.
    """
    return hmac.digest(conf.pseudonym_secret.encode(), str(user_id).encode(), "sha256").hex()


def person(event: Event) -> str:
    """Return the pseudonym of whom the event is about, else of who caused it, else "system"."""
    about = event.data.get("user", event.data.get("user_id"))
    user_id = about.pk if isinstance(about, ModelRef) else about or event.actor_id
    return NOBODY if user_id is None else pseudonym(user_id)


def anonymous(event: Event) -> dict[str, Any]:
    """Return the payload without personal data and secrets, with pseudonyms for ids of people."""
    return _mapping(event.data, event.sensitive)


def _mapping(data: Mapping[str, Any], sensitive: Set[str]) -> dict[str, Any]:
    return {
        key: _person_id(value) if _is_person(key, value) else _value(value, sensitive)
        for key, value in data.items()
        if not (key in sensitive or is_secret(key) or _is_personal(key))
    }


def _value(value: Any, sensitive: Set[str]) -> Any:
    if isinstance(value, str):
        return _without_contacts(value)
    if isinstance(value, Mapping):
        return _mapping(value, sensitive)
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(item, sensitive) for item in value]
    if isinstance(value, ModelRef):
        # Not its text, which for a person is the name.
        people = _names_person(value.model.rpartition(".")[2])
        return {"model": value.model, "pk": pseudonym(value.pk) if people else str(value.pk)}
    return json_integer(value)


def _without_contacts(text: str) -> str:
    # Looking for what either pattern cannot do without is ten times cheaper than trying it.
    if "@" in text:
        text = _EMAIL.sub("[email]", text)
    if "+" in text or "00" in text:
        text = _PHONE.sub("[phone]", text)
    return text


def _person_id(value: Any) -> Any:
    if isinstance(value, ModelRef):
        return pseudonym(value.pk)
    if isinstance(value, list | tuple | set | frozenset):
        return [_person_id(item) for item in value]
    if isinstance(value, Mapping):
        # A whole person; nothing in it is worth the risk.
        return None
    return None if value is None else pseudonym(value)


def _is_person(name: str, value: Any) -> bool:
    # One guest is somebody, `guests: 3` is a number, `guests: [3, 7]` is two people.
    return _names_person(name) or (
        isinstance(value, list | tuple | set | frozenset) and _names_person(name.removesuffix("s"))
    )


@lru_cache(maxsize=4096)
def _is_personal(name: str) -> bool:
    found = words(name)
    return not _PERSONAL.isdisjoint(found | {word.removesuffix("s") for word in found})


@lru_cache(maxsize=4096)
def _names_person(name: str) -> bool:
    found = words(name)
    return (not _PEOPLE.isdisjoint(found) and found <= _PEOPLE | {"id", "pk", "uuid"}) or (
        name.endswith(("_by", "_by_id", "By"))
    )
