"""JSON Schema by the library `jsonschema`, made safe for schemas and values from anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY, Schema, specification_with

Json = dict[str, Any] | bool
Check = Callable[[Validator, Any, Any, Schema], Iterator[ValidationError]]

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# The library searches a list for each member to check these.
_SLOW = ("unevaluatedItems", "unevaluatedProperties")
_MAX_FOR_SLOW = 1000


def compiled(schema: Json) -> Validator:
    """Return what validates by this schema, within itself: nothing is ever fetched.

    Raises ValueError, with the place, for a schema that is bad itself, of an unknown draft,
    refers to what is not in it, or to itself without end.
    """
    try:
        # Numbers may be Decimals; `float` refuses all else that JSON does not know.
        json.dumps(schema, allow_nan=False, default=float)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the JSON Schema is not JSON: {str(error)[:200]}") from error
    draft = _draft_of(schema)
    try:
        draft.check_schema(schema)  # type: ignore[arg-type]  # a bool is a schema as well
    except SchemaError as error:
        raise ValueError(
            f"the JSON Schema is bad at {error.json_path}: {error.message[:200]}"
        ) from error
    # Without the name of its draft, a schema that refers to its root stays with this class.
    bare = schema
    if isinstance(schema, dict):
        bare = {keyword: value for keyword, value in schema.items() if keyword != "$schema"}
    _check_references(draft, bare)
    validator = _hardened(draft)(bare, registry=EMPTY_REGISTRY)
    samples: tuple[Any, ...] = (None, {}, [])
    try:
        for value in samples:
            validator.is_valid(value)
    except RecursionError as error:
        raise ValueError("the JSON Schema refers to itself without end") from error
    return validator


def _hardened(draft: type[Validator]) -> Callable[..., Validator]:
    keywords: dict[str, Any] = {"uniqueItems": _unique_items}
    for slow in _SLOW:
        if slow in draft.VALIDATORS:
            keywords[slow] = _for_few(draft.VALIDATORS[slow])
    numbers = draft.TYPE_CHECKER.redefine("number", _is_number)
    kind: Callable[..., Validator] = extend(draft, keywords, type_checker=numbers)  # type: ignore[no-untyped-call]  # the library's
    return kind


def _draft_of(schema: Json) -> type[Validator]:
    name = schema.get("$schema") if isinstance(schema, dict) else None
    if name is None:
        return Draft202012Validator
    unknown: Any = None
    draft = validator_for({"$schema": name}, default=unknown) if isinstance(name, str) else None
    if draft is None:
        raise ValueError(f"$schema is {name!r}, which is not a known draft of JSON Schema")
    return draft


def _check_references(draft: type[Validator], schema: Json) -> None:
    specification = specification_with(str(draft.META_SCHEMA["$schema"]))
    root = specification.create_resource(schema)
    pending = [(root, EMPTY_REGISTRY.resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        contents = resource.contents
        for keyword in _REFERENCES:
            if isinstance(contents, dict) and keyword in contents:
                try:
                    resolver.lookup(contents[keyword])
                except Unresolvable as error:
                    raise ValueError(
                        f"{keyword} {contents[keyword]!r} is not within the JSON Schema; "
                        "nothing is fetched, so put it under $defs"
                    ) from error
        pending += [(sub, resolver.in_subresource(sub)) for sub in resource.subresources()]


def _is_number(checker: Any, value: object) -> bool:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return is_number and (isinstance(value, int) or math.isfinite(value))  # type: ignore[arg-type]  # a number


def _unique_items(
    validator: Validator, wanted: bool, instance: Any, schema: Schema
) -> Iterator[ValidationError]:
    # The library compares each item with each other when they are objects.
    if wanted and validator.is_type(instance, "array"):
        seen = {_frozen(item) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError("has items that are not unique")


def _for_few(check: Check) -> Check:
    def limited(
        validator: Validator, wanted: Any, instance: Any, schema: Schema
    ) -> Iterator[ValidationError]:
        if isinstance(instance, list | dict) and len(instance) > _MAX_FOR_SLOW:
            yield ValidationError(f"has more than {_MAX_FOR_SLOW} members")
        else:
            yield from check(validator, wanted, instance, schema) or ()

    return limited


def _frozen(value: Any) -> Any:
    """Return what is equal and hashable for JSON that is equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, Mapping):
        return ("object", frozenset((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return ("array", tuple(_frozen(item) for item in value))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        # As a text: the hashes of numbers can be chosen so that all of them meet.
        return ("number", str(int(value)) if value == value // 1 else repr(value))
    return (type(value), value)
