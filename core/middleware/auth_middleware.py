"""Tells who sends a request: by a bearer token, or by Django's session.

MIDDLEWARE = [
    ...,
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "core.middleware.auth_middleware.AuthMiddleware",
]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError as FieldError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject, empty

from core.context import changed, current_context, set_context
from core.jwt import key_ring, verified_claims
from core.jwt.claims import refused
from core.middleware.base import Middleware
from core.middleware.exception_handler import answered
from core.middleware.scope import RequestScope
from core.roles import is_active

Claims = dict[str, Any]
# What is no key of a user: a text for a number, one beyond all numbers, no UUID.
_NO_KEY = (ValueError, TypeError, OverflowError, FieldError)


class AuthMiddleware(Middleware):
    """Sets `request.user` and the context's actor from a bearer token, or from the session.

    A token that is not valid, or whose user is unknown or inactive, ends the request with 401. A
    valid one wins over a session, and spares the request the CSRF check. Without either the
    request passes as anonymous. `request.token_claims` are the claims, None without a token.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        key_ring()  # keys that cannot be used stop the start, not a request

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        with RequestScope(request) as scope:
            token = bearer_token(request)
            try:
                if token is not None:
                    claims = verified_claims(token)
                    _accept(request, _active(_user(claims)), claims)
                else:
                    self._recognise(request)
            except Exception as error:
                return _marked(answered(request, error))
            return _marked(scope.kept_in(self.get_response(request)))

    async def aserve(self, request: HttpRequest) -> HttpResponseBase:
        with RequestScope(request) as scope:
            token = bearer_token(request)
            try:
                if token is not None:
                    claims = verified_claims(token)
                    _accept(request, _active(await _auser(claims)), claims)
                else:
                    await self._arecognise(request)
            except Exception as error:
                return _marked(answered(request, error))
            return _marked(scope.kept_in(await self.get_response(request)))

    def _recognise(self, request: Any) -> None:
        if _may_have_user(request):
            _is_known(request, request.user)

    async def _arecognise(self, request: Any) -> None:
        if not _may_have_user(request):
            return
        if not _is_lazy(request):
            _is_known(request, request.user)
        elif _is_djangos(request.user):
            _is_known(request, await request.auser())
        else:
            # Somebody has put more around the user, who would not be had from request.auser().
            _is_known(request, await sync_to_async(_loaded)(request))


def bearer_token(request: HttpRequest) -> str | None:
    """Return the token of an `Authorization: Bearer` header; None for no or another scheme."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _user(claims: Claims) -> Any:
    try:
        return _users(claims).first()
    except _NO_KEY:
        return None


async def _auser(claims: Claims) -> Any:
    try:
        return await _users(claims).afirst()
    except _NO_KEY:
        return None


def _users(claims: Claims) -> QuerySet[Any]:
    subject = claims["sub"]
    users = get_user_model()._default_manager
    # Python reads " 1 ", "+1" and "0_1" as the number 1: a subject has one spelling only.
    if str(get_user_model()._meta.pk.to_python(subject)) != subject or "\x00" in subject:
        return users.none()
    return users.filter(pk=subject).order_by()


def _active(user: Any) -> Any:
    if user is None or not is_active(user):
        raise refused("of no active user")
    return user


def _accept(request: Any, user: Any, claims: Claims) -> None:
    roles = _roles(claims)
    request.token_claims = claims
    # A browser sends cookies on its own, but no such header: there is nothing to forge.
    request._dont_enforce_csrf_checks = True
    _is_known(request, user)
    set_context(changed(current_context(), roles=roles))


def _roles(claims: Claims) -> tuple[str, ...]:
    name = getattr(settings, "JWT_ROLES_CLAIM", None)
    roles = claims.get(name, ()) if name else ()
    if not isinstance(roles, list | tuple) or not all(isinstance(role, str) for role in roles):
        raise refused("roles that are no list of names")
    return tuple(roles)


def _is_known(request: Any, user: Any) -> None:
    """Have request.user, request.auser() and the context say the same."""

    async def auser() -> Any:
        # Not `user`: a view may log somebody in or out.
        return request.user

    request.user, request.auser = user, auser
    if user.is_authenticated:
        set_context(changed(current_context(), actor_id=str(user.pk)))


def _may_have_user(request: Any) -> bool:
    request.token_claims = None
    if not hasattr(request, "user"):
        _is_known(request, AnonymousUser())
        return False
    # Without the cookie of a session there is nobody to look up, unless others have done it.
    return settings.SESSION_COOKIE_NAME in request.COOKIES or not _is_lazy(request)


def _is_lazy(request: Any) -> bool:
    """Tell whether nobody has looked up the user yet."""
    return isinstance(request.user, SimpleLazyObject) and request.user._wrapped is empty


def _is_djangos(user: Any) -> bool:
    return bool(vars(user)["_setupfunc"].__module__ == AuthenticationMiddleware.__module__)


def _loaded(request: Any) -> Any:
    bool(request.user.is_authenticated)
    return request.user


def _marked(response: HttpResponseBase) -> HttpResponseBase:
    """Tell clients how to identify themselves, and caches that it matters."""
    headers: Mapping[str, str] = response.headers
    if response.status_code == 401 and "WWW-Authenticate" not in headers:
        response.headers["WWW-Authenticate"] = "Bearer"
    # Also without a token: this answer is none for who sends one.
    patch_vary_headers(response, ("Authorization",))
    return response
