"""The addresses of the API, to be included under /api/."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "tickets"
urlpatterns = [
    path("session", views.SessionView.as_view(), name="session"),
    path("happenings", views.HappeningsView.as_view(), name="happenings"),
    path("happenings/<uuid:pk>", views.HappeningView.as_view(), name="happening"),
    path("happenings/<uuid:pk>/stats", views.StatsView.as_view(), name="stats"),
    path("orders", views.OrdersView.as_view(), name="orders"),
    path("orders/<uuid:pk>", views.OrderView.as_view(), name="order"),
    path("orders/<uuid:pk>/cancel", views.CancelView.as_view(), name="cancel"),
    path("platform-fee", views.PlatformFeeView.as_view(), name="platform-fee"),
]
