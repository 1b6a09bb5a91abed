"""PlatformFeeConfig: the platform's fee, as one row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, router, transaction
from django.db.models import Q
from django.db.models.signals import pre_delete

from core.base_models import TimeStampedModel
from core.exceptions import BusinessLogicError
from core.fee import cache as fee_cache
from core.fee import changes as fee_changes
from core.fee import plans as fee_plans
from core.fee import reading as fee_reading
from core.fee.rows import ONLY_ID, PlatformFeeQuerySet
from core.fee.terms import Amount, Terms, checked_moment, checked_percentage, earnings
from core.rows.values import could_be

_VALIDATORS = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))]
_PLAN_FIELDS = {"planned_percentage", "planned_from", "planned_by"}


class PlatformFeeConfig(TimeStampedModel):
    """What the platform adds to a price, in per cent: one row, changed in the admin.

    Use the class methods: they cost no query as a rule. Amounts may be Decimal, int, str or float
    (taken as it prints); results are rounded once, half up, to cents. With `at`, a datetime with a
    time zone, they use the fee that was in force then or, by what is planned, will be; that costs
    three queries at most. Before the first change on record that is the percentage it replaced.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY_ID, editable=False)
    fee_percentage = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal("10.00"),
        validators=_VALIDATORS,
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
    planned_percentage = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=_VALIDATORS,
        help_text="The fee from that moment on. Empty both fields to cancel what is planned.",
    )
    planned_from = models.DateTimeField(null=True, blank=True)
    planned_by = models.ForeignKey(
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
            models.CheckConstraint(condition=Q(id=ONLY_ID), name="platform_fee_config_one_row"),
            models.CheckConstraint(
                condition=Q(fee_percentage__gte=0, fee_percentage__lte=100),
                name="platform_fee_config_percentage",
            ),
            models.CheckConstraint(
                condition=Q(planned_percentage__isnull=True, planned_from__isnull=True)
                | Q(
                    planned_percentage__gte=0,
                    planned_percentage__lte=100,
                    planned_from__isnull=False,
                ),
                name="platform_fee_config_plan",
            ),
        ]

    # Whether somebody has said who changes the fee, by setting `updated_by` on this instance.
    _names_who = False
    # What was planned when the row was read.
    _plan_read: tuple[Any, Any] = (None, None)

    def __str__(self) -> str:
        return f"{self.fee_percentage} %"

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("updated_by", "updated_by_id"):
            self._names_who = value is not None

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        """Return an instance as Django does; whoever changed the fee last is not who does now."""
        config = super().from_db(*args, **kwargs)
        config._note_what_was_read()
        return config

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Load the values again as Django does."""
        super().refresh_from_db(*args, **kwargs)
        self._note_what_was_read()

    def save(
        self,
        *args: Any,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Store the fee as the only row, record and announce a change, and clear the cache.

        Who changed it is `updated_by` if it was set on this instance, else the actor of the event
        context if that is a user, else nobody. What is planned stays as it is stored. Raises
        Django's ValidationError for a percentage that is not 0.00 to 100.00 or an unknown user,
        BusinessLogicError when a plan was set on this instance.
        """
        if self._plan_here() != self._plan_read:
            raise BusinessLogicError(
                "A change of the fee is planned with plan_change(), not save()"
            )
        self.pk = ONLY_ID
        fields = None if update_fields is None else set(update_fields)
        names_who = self._names_who
        self.fee_percentage = checked_percentage("fee_percentage", self.fee_percentage)
        if names_who:
            self._refuse_what_is_no_user()
        exclude = _PLAN_FIELDS if names_who else _PLAN_FIELDS | {"updated_by"}
        self.full_clean(exclude=exclude, validate_unique=False, validate_constraints=False)
        using = using or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            locked = PlatformFeeConfig.objects.using(using).lock()
            stored: PlatformFeeConfig = locked.config
            fee_plans.take_effect(stored, locked.now)
            if locked.is_new or not kwargs.get("force_insert", False):
                kwargs["force_insert"] = False
                self._take_the_place_of(stored)
            old, new = stored.fee_percentage, self.fee_percentage
            changes = old != new and (fields is None or "fee_percentage" in fields)
            if not names_who:
                self.updated_by_id = (
                    fee_changes.acting_user(using) if changes else stored.updated_by_id
                )
                self._names_who = False
            if fields and changes:
                fields.add("updated_by")
            super().save(*args, using=using, update_fields=fields, **kwargs)
            fee_cache.changed(using)
            if changes:
                fee_changes.record(
                    PlatformFeeConfig, using, old=old, new=new, by=self.updated_by_id, at=locked.now
                )

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there is always a platform fee."""
        raise BusinessLogicError("The platform fee cannot be deleted, only changed")

    @classmethod
    def get_current_config(cls) -> Self:
        """Return the configuration in force, made with 10 % if it is missing."""
        values = fee_reading.current(cls._rows).row
        return cls.from_db(cls._rows().db, list(values), list(values.values()))

    @classmethod
    def get_fee_percentage(cls, *, at: datetime | None = None) -> Decimal:
        """Return the fee in per cent, such as Decimal("10.00").

        Raises ValidationError for an `at` that is no datetime or has no time zone, as all do.
        """
        return cls._terms(at).percentage

    @classmethod
    def get_fee_decimal(cls, *, at: datetime | None = None) -> Decimal:
        """Return the fee as a fraction, not rounded, such as Decimal("0.1234") for 12.34 %."""
        return cls._terms(at).fraction

    @classmethod
    def calculate_platform_fee(
        cls, base_fare: Amount, quantity: Amount = 1, *, at: datetime | None = None
    ) -> Decimal:
        """Return the fee for that many units.

        Raises ValidationError for a negative or unreadable amount, or a quantity that is not whole.
        """
        return cls._terms(at).fee(base_fare, quantity)

    @classmethod
    def calculate_final_price(cls, base_fare: Amount, *, at: datetime | None = None) -> Decimal:
        """Return what one unit costs with the fee; times n, it may miss a total by cents.

        Raises ValidationError for a negative or unreadable amount.
        """
        return cls._terms(at).final_price(base_fare)

    @classmethod
    def calculate_host_earnings(cls, base_fare: Amount, quantity: Amount = 1) -> Decimal:
        """Return what the organiser earns for that many units: nothing is deducted.

        Raises ValidationError for a negative or unreadable amount, or a quantity that is not whole.
        """
        return earnings(base_fare, quantity)

    @classmethod
    def plan_change(cls, percentage: Amount, effective_from: datetime, *, by: Any = None) -> None:
        """Let another fee be in force from a moment in the future, instead of what was planned.

        `by` is the user who says so, or that user's key; else it is the actor of the event context.
        Raises Django's ValidationError for an unusable percentage, ValidationError for a moment
        without a time zone or not in the future, and for a user who does not exist.
        """
        fee_plans.replace(
            cls._rows(),
            checked_percentage("planned_percentage", percentage),
            checked_moment("effective_from", effective_from),
            by=by,
        )

    @classmethod
    def cancel_planned_change(cls, *, by: Any = None) -> bool:
        """Drop what is planned; return False when nothing is, or it is in force already."""
        return fee_plans.replace(cls._rows(), None, None, by=by)

    @classmethod
    def apply_planned_change(cls) -> bool:
        """Record and announce a planned change whose time has come; return whether there was one.

        Readers go by the time and do not wait for this.
        """
        return fee_plans.apply_due(cls._rows())

    @classmethod
    def clear_cache(cls) -> None:
        """Make the next reader ask the database."""
        fee_cache.clear()

    @classmethod
    def warm_cache(cls) -> None:
        """Fill the cache anew from the row, whatever is in it."""
        fee_reading.warm(cls._rows)

    @classmethod
    def _rows(cls) -> PlatformFeeQuerySet:
        rows: PlatformFeeQuerySet = cls.objects.using(router.db_for_write(cls))
        return rows

    @classmethod
    def _terms(cls, at: datetime | None) -> Terms:
        if at is None:
            return fee_reading.current(cls._rows).terms
        return fee_reading.terms_at(cls._rows, checked_moment("at", at))

    def _take_the_place_of(self, stored: PlatformFeeConfig) -> None:
        if self._state.adding:
            self._state.adding = False
            self.created_at = stored.created_at
        self.planned_percentage = stored.planned_percentage
        self.planned_from = stored.planned_from
        self.planned_by_id = stored.planned_by_id
        self._plan_read = self._plan_here()

    def _refuse_what_is_no_user(self) -> None:
        who = self.updated_by_id
        if who is not None and not could_be(self._meta.get_field("updated_by"), who):
            raise ValidationError({"updated_by": f"{who!r:.100} is no user."})

    def _note_what_was_read(self) -> None:
        self._names_who = False
        self._plan_read = self._plan_here()

    def _plan_here(self) -> tuple[Any, Any]:
        # Not by attribute: a deferred one would be loaded.
        return self.__dict__.get("planned_percentage"), self.__dict__.get("planned_from")


def _forget_user(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    # Django empties the references in the row; cached ones would lead to a user who is gone.
    named = Q(updated_by=instance.pk) | Q(planned_by=instance.pk)
    if PlatformFeeConfig.objects.using(using).filter(named).exists():
        fee_cache.changed(using)


pre_delete.connect(_forget_user, sender=settings.AUTH_USER_MODEL)
