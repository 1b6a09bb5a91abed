"""Lets views of Django REST framework accept whom the middleware has authenticated.

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["core.drf_authentication.MiddlewareAuthentication"]
}
"""

from __future__ import annotations

from typing import Any

try:
    from rest_framework.authentication import SessionAuthentication
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "rest_framework":
        raise

    def __getattr__(name: str) -> Any:
        if name != "MiddlewareAuthentication":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise ImportError(f"{name} needs Django REST framework: pip install djangorestframework")

else:

    class MiddlewareAuthentication(SessionAuthentication):  # type: ignore[misc, unused-ignore]
        """The user of `AuthMiddleware`; `request.auth` are the claims of the token, if it was one.

        Who is known by session has to send the CSRF token with changes, who sent a token has not.
        """

        def authenticate(self, request: Any) -> tuple[Any, Any] | None:
            """Return user and claims, or None for anonymous requests."""
            found = super().authenticate(request)
            if found is None:
                return None
            return found[0], getattr(request._request, "token_claims", None)

        def authenticate_header(self, request: Any) -> str:
            """Return the challenge, so that a missing user is answered with 401, not 403."""
            return "Bearer"
