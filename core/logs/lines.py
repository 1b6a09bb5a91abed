"""Lines: a record as one line of text or of JSON, and back.

A line of text is `<time> <LEVEL> name=value name=value ...`. A value is JSON, or a bare word: a
text without blanks, quotes, backslashes and equals signs that does not look like JSON. `-` is no
value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from core.logs.fields import FIXED

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_BARE = re.compile(r"[!#-<>-Z\]^-z|}~][!#-<>-\[\]-~]*")
_LITERALS = {"-": None, "true": True, "false": False}
_HEAD = re.compile(r"(?P<time>[0-9T:.\-]+Z) (?P<level>\w+)", re.ASCII)
_PAIR = re.compile(r" (?P<name>[A-Za-z0-9_.\-]+)=")
_WORD = re.compile(r"[!#-<>-\[\]-~]+")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":")).encode
_decoder = json.JSONDecoder()


def text_line(fields: Mapping[str, Any]) -> str:
    """Return the line of text for the fields of a record."""
    time, level, *rest = fields.items()
    # The message is quoted whatever it is, since people look for its quotes.
    pairs = (
        f" {name}={_quoted(value) if name == 'message' else _value(value)}" for name, value in rest
    )
    return f"{time[1]} {level[1]}{''.join(pairs)}"


def json_line(fields: Mapping[str, Any]) -> str:
    """Return the line of JSON for the fields of a record, in ASCII."""
    return _encode_ascii(fields)


def parse_line(line: str) -> dict[str, Any]:
    """Return the fields of a line of either format; the level and the names are as written.

    Raises ValueError for what is no such line.
    """
    if not isinstance(line, str):
        raise ValueError(f"a line is a text, not {type(line).__name__}")
    line = line.removesuffix("\n")
    fields = _parsed_json(line) if line.startswith("{") else _parsed_text(line)
    if tuple(fields)[: len(FIXED)] != FIXED:
        raise ValueError(f"a line begins with {', '.join(FIXED)}; this is none: {line[:200]!r}")
    return fields


def ascii_only(line: str) -> str:
    """Return a line for a stream that cannot take every character."""
    return line if line.isascii() else "".join(c if c < "\x7f" else _escaped(c) for c in line)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if type(value) is str and _BARE.fullmatch(value) and not _looks_like_json(value):
        return value
    return _quoted(value)


def _looks_like_json(word: str) -> bool:
    return word in _LITERALS or bool(_NUMBER.fullmatch(word))


def _quoted(value: Any) -> str:
    text = _encode(value)
    # Line separators, control characters, and marks that turn the direction of writing round.
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def _parsed_json(line: str) -> dict[str, Any]:
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("a line of JSON is an object")
    return fields


def _parsed_text(line: str) -> dict[str, Any]:
    head = _HEAD.match(line)
    if head is None:
        raise ValueError(f"a line begins with its time and its level: {line[:200]!r}")
    fields: dict[str, Any] = head.groupdict()
    position = head.end()
    while position < len(line):
        pair = _PAIR.match(line, position)
        if pair is None or pair["name"] in fields:
            raise ValueError(f"no further field, or one again, at character {position}")
        fields[pair["name"]], position = _parsed_value(line, pair.end())
    return fields


def _parsed_value(line: str, position: int) -> tuple[Any, int]:
    if line[position : position + 1] in ("{", "[", '"'):
        return _decoder.raw_decode(line, position)
    word = _WORD.match(line, position)
    if word is None:
        raise ValueError(f"no value at character {position}")
    text = word.group()
    if _NUMBER.fullmatch(text):
        return json.loads(text), word.end()
    return _LITERALS.get(text, text), word.end()
