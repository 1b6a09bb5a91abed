"""What was done to the system, and what came of it."""

from __future__ import annotations

from django.db import models


class Request(models.Model):
    """One request that committed: its event has to take effect."""

    run = models.CharField(max_length=60)
    seq = models.IntegerField()

    class Meta:
        indexes = [models.Index("run", "seq", name="chaos_request_run")]

    def __str__(self) -> str:
        return f"{self.run} {self.seq}"


class Effect(models.Model):
    """One effect in the engine's database; nothing keeps it from being doubled but the engine."""

    route = models.CharField(max_length=40)
    run = models.CharField(max_length=60)
    seq = models.IntegerField()
    lane = models.CharField(max_length=80)

    class Meta:
        indexes = [models.Index("run", "route", "id", name="chaos_effect_run")]

    def __str__(self) -> str:
        return f"{self.route}: {self.run} {self.seq}"
