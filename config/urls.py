"""Which address leads where."""

from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from config import health
from core.middleware import exception_handler

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("health/", health.report),
    path("health/live/", health.live),
]

if apps.is_installed("examples.tickets"):
    urlpatterns.append(path("api/", include("examples.tickets.urls")))
    # Where the admin's "View site" and a newcomer's browser go.
    urlpatterns.append(path("", RedirectView.as_view(pattern_name="tickets:happenings")))

handler400 = exception_handler.bad_request
handler403 = exception_handler.permission_denied
handler404 = exception_handler.page_not_found
handler500 = exception_handler.server_error
