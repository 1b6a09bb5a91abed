"""The platform fee in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from core.models import PlatformFeeConfig


@admin.register(PlatformFeeConfig)
class PlatformFeeConfigAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """One row that can be changed, but neither added twice nor deleted."""

    list_display = ("__str__", "updated_by", "updated_at")
    list_select_related = ("updated_by",)
    readonly_fields = ("updated_by", "updated_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell whether there is no row yet."""
        return super().has_add_permission(request) and not PlatformFeeConfig.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Tell that nobody may delete it."""
        return False

    def save_model(
        self, request: HttpRequest, obj: PlatformFeeConfig, form: Any, change: bool
    ) -> None:
        """Save with the name of who changed it."""
        obj.updated_by_id = request.user.pk
        super().save_model(request, obj, form, change)
