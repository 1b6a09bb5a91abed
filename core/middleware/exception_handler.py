"""Answers errors of views with the one response body, so that views need no try and except.

    MIDDLEWARE = [..., "core.middleware.exception_handler.ExceptionHandlerMiddleware"]

For what does not come from a view, the URL configuration and the settings name these as well:

    handler400 = "core.middleware.exception_handler.bad_request"  # and the others of this module
    CSRF_FAILURE_VIEW = "core.middleware.exception_handler.csrf_failure"
"""

from __future__ import annotations

from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views import defaults
from django.views.csrf import csrf_failure as csrf_page

from core.error_responses import error_response, mark_logged
from core.exceptions import AppException, AuthorizationError, NotFoundError, ValidationError
from core.middleware.base import Middleware
from core.plain_signals import tell


class ExceptionHandlerMiddleware(Middleware):
    """Turns an error of `core.exceptions` into its response, wherever a view raises it.

    Other errors, Django's and unknown ones, get the same body where JSON is wanted: below
    `API_PREFIX`, or for who prefers JSON. Everywhere else they keep Django's pages.
    """

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response; errors of views are heard of below."""
        response: HttpResponseBase = self.get_response(request)
        return response

    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        """Do as `serve` in an event loop."""
        response: HttpResponseBase = await self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> JsonResponse | None:
        """Return the response to an error of a view, or None where Django's page is wanted."""
        return answer_to(request, error)


def answer_to(request: HttpRequest, error: Exception) -> JsonResponse | None:
    """Return the response to an error, or None where Django's page is wanted; log it once.

    Our own failures (5xx) are logged with their traceback, what callers did wrong as one line at
    INFO. Both have method, path and status.
    """
    if not (isinstance(error, AppException) or wants_json(request)):
        return None
    response = _answer(error, request)
    if response.status_code >= 500:
        # As Django does for errors that it answers itself; error trackers live on it.
        tell(got_request_exception, ExceptionHandlerMiddleware, request=request)
    return response


def answered(request: HttpRequest, error: Exception) -> JsonResponse:
    """Return the response to an error; raise the error where Django's page is wanted."""
    response = answer_to(request, error)
    if response is None:
        raise error
    return response


def wants_json(request: HttpRequest) -> bool:
    """Tell whether whoever asks reads JSON rather than a page."""
    if request.path_info.startswith(getattr(settings, "API_PREFIX", "/api/")):
        return True
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what cannot be understood: `handler400`."""
    if wants_json(request):
        return _answer(ValidationError("The request is not valid."))
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what is not allowed: `handler403`."""
    if wants_json(request):
        return _answer(AuthorizationError())
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer for an address that leads nowhere: `handler404`."""
    if wants_json(request):
        return _answer(NotFoundError())
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer for an error outside of views, which Django has logged: `handler500`."""
    if wants_json(request):
        return _json(AppException("Something went wrong on our side."))
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a change that did not come from our own pages: `CSRF_FAILURE_VIEW`."""
    if wants_json(request):
        return _answer(
            AuthorizationError("The CSRF token is missing or wrong.", code="CSRF_FAILED")
        )
    return csrf_page(request, reason)


def _answer(error: Exception, request: HttpRequest | None = None) -> JsonResponse:
    told = error_response(error, request)
    response = JsonResponse(told.body, status=told.status, headers=dict(told.headers))
    if request is not None:
        mark_logged(response)
    return response


def _json(error: AppException) -> JsonResponse:
    return JsonResponse(error.to_dict(), status=error.status_code)
