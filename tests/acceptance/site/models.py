from __future__ import annotations

from django.db import models


class Effect(models.Model):
    """One step of a handler, as it committed."""

    run = models.CharField(max_length=60, db_index=True)
    step = models.CharField(max_length=20)
    delivery_id = models.CharField(max_length=80)
    attempt = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.run}: {self.step}"
