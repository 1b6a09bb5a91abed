"""Tickets in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from .models import Happening, Order, OrderLine, Organiser, SalesFigures


@admin.register(Organiser)
class OrganiserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Organisers."""

    list_display = ["name", "owner"]
    list_select_related = ["owner"]
    search_fields = ["name"]


@admin.register(Happening)
class HappeningAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Happenings, with how full they are."""

    list_display = ["title", "organiser", "starts_at", "price", "capacity", "sold"]
    list_select_related = ["organiser"]
    search_fields = ["title"]
    date_hierarchy = "starts_at"


class ReadOnly:
    """What the services write, people only look at."""

    def has_add_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False

    def has_change_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False

    def has_delete_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False


class OrderLineInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """The lines of an order."""

    model = OrderLine
    fields = ["happening", "quantity", "earnings", "fee"]


@admin.register(Order)
class OrderAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Orders, without the buyers' phone numbers."""

    list_display = ["id", "buyer", "created_at", "cancelled_at"]
    list_select_related = ["buyer"]
    list_filter = ["cancelled_at"]
    fields = ["buyer", "token", "created_at", "cancelled_at"]
    inlines = [OrderLineInline]


@admin.register(SalesFigures)
class SalesFiguresAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The running totals."""

    list_display = ["happening", "purchases", "refunds", "tickets", "earnings", "fees"]
    list_select_related = ["happening"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).order_by("happening__starts_at")
