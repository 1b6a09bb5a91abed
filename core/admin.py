"""The platform fee in the admin: changed now, planned ahead, and its history."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from django.utils import timezone

from core.events.read_only_admin import ReadOnlyAdmin
from core.exceptions import ValidationError
from core.models import PlatformFeeChange, PlatformFeeConfig

_PLAN = ("planned_percentage", "planned_from")


class PlatformFeeForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """The fee, and what is planned: a percentage with the moment from which on, or neither."""

    def clean(self) -> dict[str, Any]:
        """Refuse half a plan, and one for the past."""
        values: dict[str, Any] = super().clean() or {}
        percentage, start = (values.get(name) for name in _PLAN)
        if self.errors or not set(_PLAN) & set(self.changed_data):
            return values
        if (percentage is None) != (start is None):
            self.add_error(
                "planned_percentage" if percentage is None else "planned_from",
                "A planned change needs both a percentage and a moment; empty both to cancel it.",
            )
        elif start is not None and start <= timezone.now():
            self.add_error("planned_from", "A planned change must lie in the future.")
        return values


@admin.register(PlatformFeeConfig)
class PlatformFeeConfigAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """One row that can be changed, but neither added twice nor deleted."""

    form = PlatformFeeForm
    fields = ("fee_percentage", "updated_by", "updated_at", *_PLAN, "planned_by")
    list_display = ("__str__", "updated_by", "updated_at", *_PLAN)
    list_select_related = ("updated_by",)
    readonly_fields = ("updated_by", "updated_at", "planned_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell whether there is no row yet."""
        return super().has_add_permission(request) and not PlatformFeeConfig.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Tell that nobody may delete it."""
        return False

    def save_model(
        self, request: HttpRequest, obj: PlatformFeeConfig, form: Any, change: bool
    ) -> None:
        """Store what the person changed, and no more, with who it was."""
        # The form may have been open for long: what was not changed in it may be old by now.
        if not change or "fee_percentage" in form.changed_data:
            obj.updated_by_id = request.user.pk
            for name in _PLAN:
                setattr(obj, name, form.initial.get(name))
            super().save_model(request, obj, form, change)
        if set(_PLAN) & set(form.changed_data):
            self._save_plan(request, *(form.cleaned_data[name] for name in _PLAN))

    def _save_plan(self, request: HttpRequest, percentage: Any, start: Any) -> None:
        try:
            if start is None:
                PlatformFeeConfig.cancel_planned_change(by=request.user)
            else:
                PlatformFeeConfig.plan_change(percentage, start, by=request.user)
        except ValidationError as error:
            # Its moment passed after the form was checked.
            self.message_user(request, error.message, messages.ERROR)


@admin.register(PlatformFeeChange)
class PlatformFeeChangeAdmin(ReadOnlyAdmin):
    """The history of the fee: to read."""

    list_display = ("effective_at", "old", "new", "changed_by", "created_at")
