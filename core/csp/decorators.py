"""A policy of a view's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from core.csp.policy import Policy
from core.csp.problems import policy_problems

V = TypeVar("V", bound=Callable[..., Any])


def csp_override(config: Policy) -> Callable[[V], V]:
    """Send this policy with what a view returns instead of `SECURE_CSP`; `{}` sends none.

    Raises TypeError when it is no mapping, and ValueError for what browsers would misread.
    """
    return _marking("_csp_config", config)


def csp_report_only_override(config: Policy) -> Callable[[V], V]:
    """Do as `csp_override` with `SECURE_CSP_REPORT_ONLY`."""
    return _marking("_csp_ro_config", config)


def _marking(mark: str, config: Policy) -> Callable[[V], V]:
    if not isinstance(config, dict):
        raise TypeError("CSP config should be a mapping.")
    if problems := policy_problems(config):
        raise ValueError("; ".join(problems))

    def decorate(view: V) -> V:
        @wraps(view)
        def marked(*args: Any, **kwargs: Any) -> Any:
            response = view(*args, **kwargs)
            setattr(response, mark, config)
            return response

        @wraps(view)
        async def amarked(*args: Any, **kwargs: Any) -> Any:
            response = await view(*args, **kwargs)
            setattr(response, mark, config)
            return response

        return cast("V", amarked if iscoroutinefunction(view) else marked)

    return decorate
