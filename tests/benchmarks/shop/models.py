"""The row that a request writes before it fires, and rows with and without life cycle events."""

from django.db import models

from core.base_models import BaseModel, TimeStampedModel


class Sale(models.Model):
    """Something was sold."""

    order_id = models.CharField(max_length=40)
    amount = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        app_label = "bench_shop"

    def __str__(self) -> str:
        return self.order_id


class Announced(BaseModel):
    """A row whose changes are announced."""

    name = models.CharField(max_length=40)

    class Meta(BaseModel.Meta):
        app_label = "bench_shop"

    def __str__(self) -> str:
        return self.name


class Bare(TimeStampedModel):
    """A row as Django has it, with timestamps."""

    name = models.CharField(max_length=40)

    class Meta:
        app_label = "bench_shop"

    def __str__(self) -> str:
        return self.name
