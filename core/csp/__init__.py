"""Content-Security-Policy with the names and the meaning that it has in Django 6.

There, `CSP` comes from `django.utils.csp`, the decorators from `django.views.decorators.csp`, the
context processor from `django.template.context_processors`; settings and templates stay.
"""

from core.csp.decorators import csp_override, csp_report_only_override
from core.csp.policy import CSP, LazyNonce, build_policy, get_nonce
from core.csp.problems import policy_problems

__all__ = [
    "CSP",
    "LazyNonce",
    "build_policy",
    "csp_override",
    "csp_report_only_override",
    "get_nonce",
    "policy_problems",
]
