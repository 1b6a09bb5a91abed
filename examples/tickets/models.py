"""Organisers, their happenings, and the orders that people place."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from core.base_models import BaseModel


class Organiser(BaseModel):
    """Somebody who puts on happenings."""

    name = models.CharField(max_length=100, unique=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="organisers"
    )

    def __str__(self) -> str:
        return self.name


class Happening(BaseModel):
    """Something to go to. `sold` counts the tickets of orders that stand."""

    organiser = models.ForeignKey(Organiser, on_delete=models.PROTECT, related_name="happenings")
    title = models.CharField(max_length=200)
    starts_at = models.DateTimeField(db_index=True)
    price = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        validators=[MinValueValidator(Decimal(0))],
        help_text="What the organiser earns per ticket; the fee comes on top.",
    )
    capacity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    sold = models.PositiveIntegerField(default=0, editable=False)

    class Meta(BaseModel.Meta):
        constraints = [
            models.CheckConstraint(
                condition=Q(sold__lte=F("capacity")), name="tickets_happening_not_oversold"
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def available(self) -> int:
        """How many tickets are left."""
        return self.capacity - self.sold


class Order(BaseModel):
    """What one person bought at once, all of it or nothing."""

    # That a number changed is news, the number is not.
    event_masked = ("phone",)

    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="ticket_orders"
    )
    token = models.CharField(max_length=64, help_text="Chosen by the client: makes a retry safe.")
    phone = models.CharField(max_length=16, blank=True, help_text="For the confirmation by SMS.")
    cancelled_at = models.DateTimeField(null=True, blank=True)

    class Meta(BaseModel.Meta):
        # "order" alone is a word of SQL.
        db_table = "ticket_order"
        constraints = [
            models.UniqueConstraint(fields=["buyer", "token"], name="tickets_order_once_per_token")
        ]

    def __str__(self) -> str:
        return f"order {self.pk}"

    @property
    def total(self) -> Decimal:
        """What the buyer pays."""
        return sum((line.earnings + line.fee for line in self.lines.all()), Decimal(0))


class OrderLine(BaseModel):
    """The tickets of one happening within an order, at the price and fee of that moment."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    happening = models.ForeignKey(Happening, on_delete=models.PROTECT, related_name="lines")
    quantity = models.PositiveSmallIntegerField()
    earnings = models.DecimalField(max_digits=10, decimal_places=2)
    fee = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta(BaseModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["order", "happening"], name="tickets_line_once_per_happening"
            )
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.happening_id}"


class SalesFigures(models.Model):
    """Running totals of one happening, kept by the route `tickets.sales-figures`.

    A plain model: derived figures are nobody's news, so they fire no events.
    """

    happening = models.OneToOneField(
        Happening, on_delete=models.CASCADE, primary_key=True, related_name="figures"
    )
    purchases = models.PositiveIntegerField(default=0)
    refunds = models.PositiveIntegerField(default=0)
    tickets = models.IntegerField(default=0)
    earnings = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    fees = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))

    class Meta:
        verbose_name_plural = "sales figures"

    def __str__(self) -> str:
        return f"figures of {self.happening_id}"
