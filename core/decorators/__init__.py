"""Decorators for functions and methods of either kind: limits, repeats, time, logs, responses."""

from core.decorators.counting import reset_rate_limits
from core.decorators.failures import standard_exception_handler
from core.decorators.rate_limits import rate_limit
from core.decorators.repeats import retry_on_failure
from core.decorators.requests import log_request
from core.decorators.responses import cache_response
from core.decorators.timeouts import timeout

__all__ = [
    "cache_response",
    "log_request",
    "rate_limit",
    "reset_rate_limits",
    "retry_on_failure",
    "standard_exception_handler",
    "timeout",
]
