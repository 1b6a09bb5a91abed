"""Payloads are masked at any depth and become plain JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import ModelRef
from core.events.event import MASK
from workers.redaction import masked, to_json

PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize("name", ["password", "apiKey", "X-Api-Key", "otp_code", "access_token"])
def test_secrets_are_masked_at_any_depth(name: str) -> None:
    """A field that is called like a secret is masked wherever it stands."""
    data = {"a": [{"b": {name: "geheim", "amount": 5}}]}
    assert masked(data) == {"a": [{"b": {name: MASK, "amount": 5}}]}


def test_sensitive_fields_are_masked_at_any_depth() -> None:
    """What the signal declares as sensitive is masked, also further down."""
    data = {"phone": "+49171", "buyer": {"phone": "+49171"}, "total": 1}
    assert masked(data, {"phone"}) == {"phone": MASK, "buyer": {"phone": MASK}, "total": 1}


@given(TREES)
def test_what_hides_nothing_comes_out_equal(tree: Any) -> None:
    """Masking changes nothing but secrets, and integers that JSON elsewhere could not hold."""
    tame = json.loads(json.dumps(tree))
    assert masked({"v": tame}, frozenset())["v"] == _expected(tame)


def _expected(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK if masked({key: 0})[key] == MASK else _expected(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_expected(item) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**63:
        return str(value)
    return value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal("110.00"), "110.00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00Z"),
        (date(2026, 3, 1), "2026-03-01"),
        (time(12, 30), "12:30:00"),
        (timedelta(hours=1), "P0DT01H00M00S"),
        (b"ab", "YWI="),
        ({3}, [3]),
        (frozenset(), []),
        (Colour.RED, "red"),
        (ModelRef("shop.order", 7, "Order 7"), {"model": "shop.order", "pk": 7, "text": "Order 7"}),
    ],
)
def test_every_type_of_a_payload_has_a_plain_form(value: Any, plain: Any) -> None:
    """Whatever an event carries can be stored and sent as JSON."""
    assert json.loads(to_json(value)) == plain


def test_a_decimal_may_become_a_number() -> None:
    """Who wants to add amounts up gets numbers."""
    assert json.loads(to_json([Decimal("1.5")], decimal=float)) == [1.5]
