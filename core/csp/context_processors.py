"""What templates get: `<script nonce="{{ csp_nonce }}">`."""

from __future__ import annotations

from django.http import HttpRequest

from core.csp.policy import LazyNonce, get_nonce


def csp(request: HttpRequest) -> dict[str, LazyNonce | None]:
    """Add `csp_nonce`, the nonce of the request."""
    return {"csp_nonce": get_nonce(request)}
