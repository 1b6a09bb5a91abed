"""The row that a request writes before it fires."""

from django.db import models


class Sale(models.Model):
    """Something was sold."""

    order_id = models.CharField(max_length=40)
    amount = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        app_label = "bench_shop"

    def __str__(self) -> str:
        return self.order_id
