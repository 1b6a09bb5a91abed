"""Which address leads where."""

from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from config import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("health/", health.report),
    path("health/live/", health.live),
]

if apps.is_installed("examples.tickets"):
    urlpatterns.append(path("api/", include("examples.tickets.urls")))
