"""Files, texts and JSON are refused for what they are; migrations see no change in validators."""

from __future__ import annotations

import time
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.db.migrations.writer import MigrationWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validators import (
    validate_file_extension,
    validate_file_size,
    validate_json_schema,
    validate_no_html,
)

MB = 1024 * 1024
ORDER = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "uniqueItems": True,
            "items": {"$ref": "#/$defs/item"},
        },
        "note": {"type": "string", "maxLength": 10},
    },
    "required": ["items"],
    "additionalProperties": False,
    "$defs": {
        "item": {
            "type": "object",
            "properties": {"price": {"type": "number", "minimum": 0}},
            "required": ["price"],
        }
    },
}


class Sized:
    """A file of any size that takes no memory."""

    def __init__(self, size: Any, name: str = "a.jpg") -> None:
        self.size = size
        self.name = name


def fault(validator: Any, value: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        validator(value)
    return caught.value


def test_a_file_may_be_as_large_as_allowed() -> None:
    """Five megabytes pass; one byte more does not."""
    validate = validate_file_size(max_mb=5)
    validate(Sized(5 * MB))
    error = fault(validate, Sized(5 * MB + 1))
    assert error.code == "file_too_large"
    assert error.messages == ["The file has 5242881 bytes; at most 5 MB are allowed."]


def test_real_files_have_sizes() -> None:
    """Uploaded files and those in memory are measured."""
    tiny = validate_file_size(max_mb=0.00001)
    tiny(ContentFile(b"x" * 10))
    assert fault(tiny, SimpleUploadedFile("a.txt", b"x" * 11)).code == "file_too_large"


@pytest.mark.parametrize("value", [None, "a.jpg", 7, Sized("5"), Sized(-1), Sized(True)])
def test_what_has_no_size_is_refused(value: Any) -> None:
    """What is not a file is invalid, not an error of the server."""
    assert fault(validate_file_size(5), value).code == "invalid"


@pytest.mark.parametrize("size", [None, "5", True])
def test_a_limit_must_be_a_number(size: Any) -> None:
    """A limit of another type fails where it is written."""
    with pytest.raises(TypeError, match="max_mb"):
        validate_file_size(size)


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf")])
def test_a_limit_must_be_above_nothing(size: float) -> None:
    """A limit that every file or none would pass fails where it is written."""
    with pytest.raises(ValueError, match="max_mb"):
        validate_file_size(size)


@pytest.mark.parametrize("name", ["a.jpg", "a.PNG", "a.b.png", "dir/a.jpg"])
def test_allowed_extensions(name: str) -> None:
    """The case of a name does not matter."""
    validate_file_extension(allowed=[".jpg", "PNG"])(Sized(1, name))


@pytest.mark.parametrize(
    "name", ["a.exe", "a.jpg.exe", "jpg", ".jpg", "a.jpg\x00.png", "a.jpg ", "", "a.jpg/b", "x.svg"]
)
def test_other_extensions(name: str) -> None:
    """Only the very end of the name counts, and it must be one of the allowed."""
    error = fault(validate_file_extension(allowed=[".jpg", ".png"]), Sized(1, name))
    assert error.code == "invalid_extension"
    assert error.messages == ["The file must end in one of: .jpg, .png."]


@pytest.mark.parametrize("value", [None, 7, b"a.jpg"])
def test_what_has_no_name_is_refused(value: Any) -> None:
    """What is not a file has no extension."""
    assert fault(validate_file_extension([".jpg"]), value).code == "invalid_extension"


def test_a_compound_extension() -> None:
    """An extension may have a dot in it."""
    validate = validate_file_extension([".tar.gz"])
    validate(Sized(1, "a.tar.gz"))
    assert fault(validate, Sized(1, "a.gz")).code == "invalid_extension"


@pytest.mark.parametrize("allowed", [".jpg", None, 7, [7]])
def test_extensions_must_be_a_list_of_texts(allowed: Any) -> None:
    """A text alone would mean each of its letters."""
    with pytest.raises(TypeError):
        validate_file_extension(allowed)


@pytest.mark.parametrize("allowed", [[], [""], ["."], ["a/b"]])
def test_extensions_must_be_extensions(allowed: Any) -> None:
    """No extension at all, or none that a name can end in, is a mistake."""
    with pytest.raises(ValueError, match="extension"):
        validate_file_extension(allowed)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a < b",
        "a < b and c > d",
        "x <3 y",
        "R&D, Q&A",
        "1<2>0",
        "=> <= <> <-",
        "&nbsp;&amp;",
        "a &lt; b",
        "größer > kleiner",
        "",
        "half a pair \ud800",
    ],
)
def test_texts_without_markup(text: str) -> None:
    """What a browser shows as it is may be written."""
    validate_no_html(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<b>bold</b>",
        "</p>",
        "<!-- comment -->",
        "<!-- left open",
        "<!doctype html>",
        "<?php echo 1 ?>",
        "<img src=x onerror=alert(1) ",
        '<a title="',
        "<a title='",
        "<a b=",
        "a<b",
        "<ScRiPt>",
        "<scr\x00ipt>",
        "<svg/onload=alert(1)>",
        "&lt;script&gt;",
        "&#60;b&#x3e;",
        "&lt;img src=x onerror=alert(1)",
    ],
)
def test_texts_with_markup(text: str) -> None:
    """Tags and comments are refused, left open and hidden in entities too."""
    error = fault(validate_no_html, text)
    assert (error.code, error.messages) == ("html", ["HTML is not allowed here."])


@given(st.text(alphabet=st.sampled_from("<>&/!?-\"'= ab1;lt#x6c0"), max_size=30))
def test_a_letter_after_an_angle_bracket_is_markup(text: str) -> None:
    """By the rules of HTML a text without `<` before a letter, `/`, `!`, `?` or `&` is none."""
    starts = [after for before, after in pairwise(text) if before == "<"]
    if not any(after.isalpha() or after in "/!?" for after in starts) and "&" not in text:
        validate_no_html(text)
    elif any(after.isalpha() for after in starts):
        assert fault(validate_no_html, text).code == "html"


@pytest.mark.parametrize("part", ["<", "a<b ", "&lt;", "<!--", "&amp;"])
def test_long_texts_are_checked_in_time(part: str) -> None:
    """The time grows with the length of a text, not faster."""
    began = time.perf_counter()
    with suppress(ValidationError):  # markup or not
        validate_no_html(part * 50_000)
    assert time.perf_counter() - began < 5


def test_conforming_json_passes() -> None:
    """JSON that keeps to the schema is valid."""
    validate_json_schema(ORDER)({"items": [{"price": 1}, {"price": 2.5}], "note": "soon"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "$: 'items' is a required property"),
        ({"items": [{"price": 1}, {"price": -1}]}, "$.items[1].price: -1 is less than"),
        ({"items": [{"price": True}]}, "$.items[0].price: True is not of type 'number'"),
        ({"items": [{"price": float("nan")}]}, "$.items[0].price: nan is not of type 'number'"),
        ({"items": [], "x": 1}, "$: Additional properties are not allowed"),
        ({"items": [{"price": 1}, {"price": 1.0}]}, "$.items: has items that are not unique"),
        ({"items": [], "note": "x" * 100_000}, "$.note: 'xxx"),
        ("text", "$: 'text' is not of type 'object'"),
        (None, "$: None is not of type 'object'"),
    ],
)
def test_other_json_is_refused_with_its_place(value: Any, message: str) -> None:
    """Each message begins with where the fault is, and is short whatever the value."""
    error = fault(validate_json_schema(ORDER), value)
    assert error.messages[0].startswith(message)
    assert len(error.messages[0]) < 300
    assert error.error_list[0].code == "json_schema"
    params = error.error_list[0].params
    assert params is not None
    assert params["path"] == message.split(":")[0]


def test_only_the_first_faults_are_told() -> None:
    """A value with a million faults does not make a million messages."""
    error = fault(validate_json_schema({"items": {"type": "string"}}), [1] * 1_000_000)
    assert len(error.messages) == 20


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objct"},
        {"required": "name"},
        {"pattern": "("},
        {"$schema": "http://example.com/other"},
        {"$schema": 7},
        {"$ref": "http://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"default": {"$ref": "other.json"}}},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}]},
        {"minimum": float("nan")},
        {"multipleOf": Decimal("NaN")},
        {"maximum": Decimal("Infinity")},
        {"enum": [{1, 2}]},
    ],
)
def test_a_bad_schema_fails_where_it_is_written(schema: Any) -> None:
    """Faults of a schema, references out of it and to itself are found before any value comes."""
    with pytest.raises(ValueError, match=r"schema|Schema"):
        validate_json_schema(schema)


@pytest.mark.parametrize("schema", [None, "{}", [], 7])
def test_a_schema_is_a_dict(schema: Any) -> None:
    """Another type is a mistake."""
    with pytest.raises(TypeError, match="JSON Schema"):
        validate_json_schema(schema)


def test_a_value_that_looks_like_a_reference_is_none() -> None:
    """What is compared with is not part of the schema."""
    validate_json_schema({"const": {"$ref": "http://example.com"}})({"$ref": "http://example.com"})


def test_an_older_draft() -> None:
    """`$schema` names the draft, and references to the root keep the checks."""
    validate = validate_json_schema(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"child": {"$ref": "#"}, "tags": {"uniqueItems": True}},
        }
    )
    error = fault(validate, {"child": {"tags": [{"a": 1}, {"a": 1}]}})
    assert error.messages == ["$.child.tags: has items that are not unique"]


def test_the_schema_cannot_be_changed_from_outside() -> None:
    """The validator keeps a copy."""
    schema: dict[str, Any] = {"type": "object"}
    validate = validate_json_schema(schema)
    schema["type"] = "array"
    validate({})


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"child": value}
    return value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"child": {"$ref": "#"}}}, nested(5_000)),
        ({"multipleOf": 0.5}, 10**400),
        pytest.param({"type": "string"}, 10**5000, id="huge"),
    ],
)
def test_what_cannot_be_checked_is_refused(schema: Any, value: Any) -> None:
    """Nesting and numbers beyond what can be handled are the caller's fault, not a crash."""
    assert fault(validate_json_schema(schema), value).code in ("json_schema", None)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"uniqueItems": True}, [{"a": n} for n in range(10_000)]),
        ({"uniqueItems": True}, [n * (2**61 - 1) for n in range(10_000)]),
        ({"unevaluatedItems": False, "anyOf": [{"contains": {}}]}, list(range(10_000))),
        (
            {"unevaluatedProperties": False, "anyOf": [{"additionalProperties": {"minimum": 0}}]},
            {str(n): n for n in range(10_000)},
        ),
    ],
)
def test_large_values_are_checked_in_time(schema: Any, value: Any) -> None:
    """Ten thousand members take a moment, not the square of that."""
    began = time.perf_counter()
    with suppress(ValidationError):  # some are too large for their keyword
        validate_json_schema(schema)(value)
    assert time.perf_counter() - began < 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
VALIDATE_ORDER = validate_json_schema(ORDER)


@settings(max_examples=25)
@given(JSON)
def test_any_json_is_valid_or_refused(value: Any) -> None:
    """No value makes the validator raise anything but ValidationError."""
    with suppress(ValidationError):
        VALIDATE_ORDER({"items": value})


@settings(max_examples=25)
@given(st.lists(JSON, min_size=1, max_size=5))
def test_a_repeated_item_is_found(items: list[Any]) -> None:
    """An item that is there twice is found, whatever it is made of."""
    items = [item for item in items if "nan" not in repr(item)] or [None]
    error = fault(validate_json_schema({"uniqueItems": True}), [*items, deepcopy(items[0])])
    assert error.messages == ["$: has items that are not unique"]


@pytest.mark.parametrize(
    "items", [[1, True], [[0], [False]], ["1", 1], [{}, []], [None, 0, ""], [1.5, "1.5"]]
)
def test_items_of_different_types_differ(items: list[Any]) -> None:
    """Python takes some of these for equal; JSON does not."""
    validate_json_schema({"uniqueItems": True})(items)


ALIKE = [
    (lambda: validate_file_size(5), lambda: validate_file_size(6)),
    (lambda: validate_file_extension([".jpg", "png"]), lambda: validate_file_extension([".gif"])),
    (lambda: validate_json_schema(ORDER), lambda: validate_json_schema(True)),
]


@pytest.mark.parametrize(("make", "make_other"), ALIKE)
def test_equal_options_are_equal_validators(make: Any, make_other: Any) -> None:
    """Migrations compare validators, so equality follows the options."""
    assert make() == make()
    assert make() != make_other()
    assert make() != "something else"


def test_the_order_of_extensions_does_not_matter() -> None:
    """Neither the order nor the spelling of extensions makes a migration."""
    same = validate_file_extension(["png", ".JPG"])
    assert same == validate_file_extension([".jpg", ".png"])
    assert hash(same) == hash(validate_file_extension([".jpg", ".png"]))


@pytest.mark.parametrize(
    "validator",
    [
        validate_file_size(max_mb=2.5),
        validate_file_extension(allowed=[".jpg", ".png"]),
        validate_json_schema(ORDER),
        validate_no_html,
    ],
)
def test_migrations_can_write_validators_down(validator: Any) -> None:
    """What a migration says about a validator makes an equal one."""
    code, imports = MigrationWriter.serialize(validator)
    namespace: dict[str, Any] = {}
    exec("\n".join(imports), namespace)
    assert eval(code, namespace) == validator


@pytest.mark.parametrize(
    ("schema", "value"),
    [({"patternProperties": {"^a": {}}}, {1: 2}), ({"uniqueItems": True}, [{1}, {2}])],
)
def test_what_is_no_json_is_refused(schema: Any, value: Any) -> None:
    """A value from Python that no JSON has, such as a key that is a number, is a refusal."""
    with pytest.raises(ValidationError, match="cannot be checked"):
        validate_json_schema(schema)(value)


def test_fields_use_them() -> None:
    """A model's fields refuse by them when they are cleaned."""
    text = models.TextField(validators=[validate_no_html])
    assert text.clean("plain", None) == "plain"
    with pytest.raises(ValidationError, match="HTML is not allowed"):
        text.clean("<script>", None)
    data = models.JSONField(validators=[validate_json_schema(ORDER)])
    with pytest.raises(ValidationError, match="required property"):
        data.clean({"note": "x"}, None)
