"""Sums with a platform fee: exact, and rounded once, half up, to cents."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Self

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone

from core.exceptions import ValidationError

Amount = Decimal | int | str | float

_CENT = Decimal("0.01")
_NOT_A_NUMBER = Decimal("NaN")
_LARGEST_EXPONENT = 20
# Enough digits that nothing is rounded before `quantize`. Its methods are used instead of the
# operators, which would take the caller's precision, and instead of `localcontext`, which is slow.
_EXACT = Context(prec=1000, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Terms:
    """A fee in the forms that sums need it in."""

    percentage: Decimal
    fraction: Decimal
    factor: Decimal

    @classmethod
    def of(cls, percentage: Decimal) -> Self:
        """Return the terms of a fee in per cent, such as Decimal("10.00")."""
        fraction = _EXACT.divide(percentage, Decimal(100))
        return cls(percentage, fraction, _EXACT.add(1, fraction))

    def fee(self, base_fare: Amount, quantity: Amount) -> Decimal:
        """Return the fee for that many units; raises ValidationError for unusable values."""
        return _cents(_EXACT.multiply(_earned(base_fare, quantity), self.fraction))

    def final_price(self, base_fare: Amount) -> Decimal:
        """Return the price of one unit, fee included; raises ValidationError as `fee` does."""
        return _cents(_EXACT.multiply(_amount("base_fare", base_fare), self.factor))


def earnings(base_fare: Amount, quantity: Amount) -> Decimal:
    """Return what that many units bring without the fee; raises ValidationError as `fee` does."""
    return _cents(_earned(base_fare, quantity))


def checked_percentage(field: str, value: object) -> Decimal:
    """Return a percentage with two decimals.

    Raises Django's ValidationError, which names the value, unless it is 0.00 to 100.00 with at most
    two decimals.
    """
    percentage = _number(value)
    if percentage.is_finite() and 0 <= percentage <= 100:
        rounded = _cents(percentage).copy_abs()
        if rounded == percentage:
            return rounded
    message = f"The fee must be 0.00 to 100.00 per cent, with two decimals, not {_shown(value)}."
    raise DjangoValidationError({field: message})


def checked_moment(name: str, value: object) -> datetime:
    """Return the moment; raises ValidationError unless it is a datetime that has a time zone."""
    if isinstance(value, datetime) and timezone.is_aware(value):
        with suppress(OverflowError):
            # PostgreSQL would store a year 10000 of UTC, and nobody could read the row any more.
            value.astimezone(UTC)
            return value
    raise ValidationError(
        f"{name} must be a datetime with a time zone, in the years 1 to 9999 of UTC, "
        f"not {_shown(value)}",
        details={"field": name},
    )


def _earned(base_fare: Amount, quantity: Amount) -> Decimal:
    return _EXACT.multiply(_amount("base_fare", base_fare), _count(quantity))


def _amount(name: str, value: Amount) -> Decimal:
    amount = value if type(value) is Decimal else _number(value)
    if not amount.is_finite() or amount < 0 or amount.adjusted() > _LARGEST_EXPONENT:
        raise ValidationError(
            f"{name} must be a number of at least 0 and at most {_LARGEST_EXPONENT + 1} digits "
            f"before the point, not {_shown(value)}",
            details={"field": name},
        )
    # Zero may have a sign too.
    return amount.copy_abs()


def _count(quantity: Amount) -> Decimal:
    count = _amount("quantity", quantity)
    if count != count.to_integral_value():
        raise ValidationError(
            f"quantity must be a whole number, not {_shown(quantity)}",
            details={"field": "quantity"},
        )
    return count


def _number(value: object) -> Decimal:
    """Return the number, a float as it prints; NaN for what is none."""
    if isinstance(value, bool):
        return _NOT_A_NUMBER
    if isinstance(value, Decimal | int):
        return Decimal(value)
    if not isinstance(value, str | float):
        return _NOT_A_NUMBER
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return _NOT_A_NUMBER


def _cents(amount: Decimal) -> Decimal:
    return _EXACT.quantize(amount, _CENT)


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        # Python refuses to print integers of thousands of digits.
        return f"{Decimal(value):.3E}"
    return repr(value)[:60]
