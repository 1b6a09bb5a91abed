"""The models of the foundation: the platform fee; and the base models, for import from here."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation, localcontext
from typing import Any, NoReturn, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, router, transaction
from django.db.models import Q

from core import fee_cache
from core.base_models import BaseModel, DBBaseModel, SoftDeleteModel, TimeStampedModel
from core.exceptions import BusinessLogicError, ValidationError
from core.managers import SoftDeleteManager, SoftDeleteQuerySet
from core.signals.audit_signals import platform_fee_changed

__all__ = [
    "BaseModel",
    "DBBaseModel",
    "PlatformFeeConfig",
    "SoftDeleteManager",
    "SoftDeleteModel",
    "SoftDeleteQuerySet",
    "TimeStampedModel",
]

logger = logging.getLogger(__name__)

Amount = Decimal | int | str | float

_ONLY_ID = 1
_CENT = Decimal("0.01")
_LARGEST_EXPONENT = 20
# Enough digits for the product of three amounts, so that only the total is rounded.
_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)


class PlatformFeeQuerySet(models.QuerySet["PlatformFeeConfig"]):
    """Refuses what would go past the validation, the signal and the cache."""

    def update(self, **kwargs: Any) -> NoReturn:
        """Refuse: `save()` validates, announces the change and clears the cache."""
        raise BusinessLogicError("The platform fee is changed with save(), not update()")

    def delete(self) -> NoReturn:
        """Refuse: there is always a platform fee."""
        raise BusinessLogicError("The platform fee cannot be deleted, only changed")

    # Django's marks: templates may not call these, and managers do not offer `delete`.
    update.alters_data = delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class PlatformFeeConfig(TimeStampedModel):
    """What the platform adds to a price, in per cent: one row, changed in the admin.

    Use the class methods: they read through the cache, and so cost no query as a rule. Amounts may
    be Decimal, int, str or float (taken as it prints); results are rounded once, half up, to cents.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=_ONLY_ID, editable=False)
    fee_percentage = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal("10.00"),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
        help_text="Added to the price of the organiser, 0.00 to 100.00 per cent.",
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
    )

    objects = PlatformFeeQuerySet.as_manager()

    class Meta:
        db_table = "platform_fee_config"
        verbose_name = "platform fee"
        verbose_name_plural = "platform fee"
        constraints = [
            models.CheckConstraint(condition=Q(id=_ONLY_ID), name="platform_fee_config_one_row"),
            models.CheckConstraint(
                condition=Q(fee_percentage__gte=0, fee_percentage__lte=100),
                name="platform_fee_config_percentage",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.fee_percentage} %"

    def save(
        self,
        *args: Any,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Store the fee as the only row, announce a change and clear the cache.

        Raises Django's ValidationError for a percentage that is not 0.00 to 100.00.
        """
        self.pk = _ONLY_ID
        update_fields = None if update_fields is None else set(update_fields)
        self.full_clean(exclude={"updated_by"}, validate_unique=False, validate_constraints=False)
        self.fee_percentage = self.fee_percentage.quantize(_CENT)
        using = using or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            old = self._meet_stored_row(using, force_insert=kwargs.get("force_insert", False))
            super().save(*args, using=using, update_fields=update_fields, **kwargs)
            fee_cache.clear()
            transaction.on_commit(fee_cache.clear, using=using, robust=True)
            if update_fields is None or "fee_percentage" in update_fields:
                self._announce(old)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there is always a platform fee."""
        raise BusinessLogicError("The platform fee cannot be deleted, only changed")

    @classmethod
    def get_current_config(cls) -> Self:
        """Return the configuration, made with 10 % if it is missing."""
        values = cls._entry(fee_cache.CONFIG)
        return cls.from_db(router.db_for_write(cls), list(values), list(values.values()))

    @classmethod
    def get_fee_percentage(cls) -> Decimal:
        """Return the fee in per cent, such as Decimal("10.00")."""
        return Decimal(cls._entry(fee_cache.PERCENTAGE))

    @classmethod
    def get_fee_decimal(cls) -> Decimal:
        """Return the fee as a fraction, not rounded, such as Decimal("0.1234") for 12.34 %."""
        return Decimal(cls._entry(fee_cache.DECIMAL))

    @classmethod
    def calculate_platform_fee(cls, base_fare: Amount, quantity: Amount = 1) -> Decimal:
        """Return the fee for that many units.

        Raises ValidationError for a negative or unreadable amount, or a quantity that is not whole.
        """
        return _product(_amount("base_fare", base_fare), cls.get_fee_decimal(), _count(quantity))

    @classmethod
    def calculate_final_price(cls, base_fare: Amount) -> Decimal:
        """Return what one unit costs with the fee; times n, it may miss a total by cents.

        Raises ValidationError for a negative or unreadable amount.
        """
        return _product(_amount("base_fare", base_fare), 1 + cls.get_fee_decimal())

    @classmethod
    def calculate_host_earnings(cls, base_fare: Amount, quantity: Amount = 1) -> Decimal:
        """Return what the organiser earns for that many units: nothing is deducted.

        Raises ValidationError for a negative or unreadable amount, or a quantity that is not whole.
        """
        return _product(_amount("base_fare", base_fare), _count(quantity))

    @classmethod
    def clear_cache(cls) -> None:
        """Make the next reader ask the database."""
        fee_cache.clear()

    @classmethod
    def warm_cache(cls) -> None:
        """Fill the cache anew from the row, whatever is in it."""
        cls._load()

    def _meet_stored_row(self, using: str, *, force_insert: bool) -> Decimal | None:
        """Lock the row that is there, take its place and return its percentage."""
        rows = PlatformFeeConfig.objects.using(using).select_for_update().filter(pk=_ONLY_ID)
        stored = rows.values("fee_percentage", "created_at").first()
        if stored is None:
            return None
        if self._state.adding and not force_insert:
            self._state.adding = False
            self.created_at = stored["created_at"]
        return Decimal(stored["fee_percentage"])

    def _announce(self, old: Decimal | None) -> None:
        new = self.fee_percentage
        if old == new:
            return
        who = None if self.updated_by_id is None else str(self.updated_by_id)
        logger.info("the platform fee changed from %s to %s per cent, by user %s", old, new, who)
        platform_fee_changed.send(sender=PlatformFeeConfig, old=old, new=new, changed_by=who)

    @classmethod
    def _entry(cls, key: str) -> Any:
        entry = fee_cache.read(key)
        return cls._load()[key] if entry is None else entry

    @classmethod
    def _load(cls) -> dict[str, Any]:
        stamp = fee_cache.stamp()
        using = router.db_for_write(cls)
        config, _ = cls.objects.using(using).get_or_create(pk=_ONLY_ID)
        names = [field.attname for field in cls._meta.concrete_fields]
        entries = {
            fee_cache.CONFIG: {name: getattr(config, name) for name in names},
            fee_cache.PERCENTAGE: config.fee_percentage,
            fee_cache.DECIMAL: config.fee_percentage / 100,
        }
        if not _is_changing(using):
            fee_cache.fill(entries, stamp)
        return entries


def _is_changing(using: str) -> bool:
    """Tell whether this thread's transaction has changed the fee and is not committed yet."""
    # Django forgets these hooks when a transaction or savepoint is rolled back, as it must be here.
    hooks = transaction.get_connection(using).run_on_commit
    return any(hook[1] is fee_cache.clear for hook in hooks)


def _amount(name: str, value: Amount) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount.adjusted() > _LARGEST_EXPONENT:
        raise ValidationError(
            f"{name} must be a number of at least 0, not {str(value)[:40]!r}",
            details={"field": name},
        )
    return amount


def _count(quantity: Amount) -> Decimal:
    count = _amount("quantity", quantity)
    if count != count.to_integral_value():
        raise ValidationError(
            f"quantity must be a whole number, not {count}", details={"field": "quantity"}
        )
    return count


def _product(*factors: Decimal) -> Decimal:
    with localcontext(_EXACT):
        total = Decimal(1)
        for factor in factors:
            total *= factor
        return total.quantize(_CENT)
