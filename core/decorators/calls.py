"""What the decorators share: wrapping a function of either kind, finding the request of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest

from core.helpers import shortened

F = TypeVar("F", bound=Callable[..., Any])
Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]

# The largest option that is a number: as seconds 31 years, which every clock and cache can count.
MOST = 10**9


def wrapped(function: F, *, sync: Callable[..., Any], coroutine: Callable[..., Any]) -> F:
    """Return `function` with `sync(args, kwargs)` or `await coroutine(args, kwargs)` in its place.

    Which of the two follows `function`; name, docstring and signature stay. Raises TypeError for
    what is neither: classes, generators, a classmethod object; and at the call, when a function
    that is not async returns a coroutine, whose work would begin after everything decorated it.
    """
    if is_async(function):

        @wraps(function)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            return await coroutine(args, kwargs)

        return cast("F", awaiting)

    _require_function(function)

    @wraps(function)
    def calling(*args: Any, **kwargs: Any) -> Any:
        result = sync(args, kwargs)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError(
                f"{name_of(function)} is not async, but returned a coroutine: decorate the async "
                "function itself, which is get or post in an async class-based view"
            )
        return result

    return cast("F", calling)


def is_async(function: Any) -> bool:
    """Tell whether calling this gives a coroutine, also for objects with an async `__call__`."""
    if iscoroutinefunction(function):
        return True
    is_object = not isinstance(function, type) and callable(function)
    return is_object and iscoroutinefunction(type(function).__call__)


def _require_function(function: Any) -> None:
    if isinstance(function, type):
        raise TypeError(
            f"{function!r} is a class: decorate its methods, or use "
            "method_decorator(..., name='dispatch')"
        )
    if isinstance(function, classmethod | staticmethod) or not callable(function):
        raise TypeError(
            f"{function!r} is not a function; decorators of methods go below @classmethod and "
            "@staticmethod, and those with options need parentheses"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name_of(function)} is a generator, whose body runs after the call")


def name_of(function: Any) -> str:
    """Return the dotted path of a function."""
    module = getattr(function, "__module__", type(function).__module__)
    return f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def find_request(args: Args, kwargs: Kwargs) -> Any:
    """Return the request of a call, Django's or the REST framework's, or None.

    It is the first argument, the one after `self`, or the keyword `request`.
    """
    for candidate in (*args[:2], kwargs.get("request")):
        if isinstance(django_request(candidate), HttpRequest):
            return candidate
    return None


def require_request(function: Any, args: Args, kwargs: Kwargs) -> Any:
    """Return the request of a call; raises TypeError where there is none."""
    request = find_request(args, kwargs)
    if request is None:
        raise TypeError(f"{name_of(function)} got no request: this decorator is for views")
    return request


def django_request(request: Any) -> HttpRequest:
    """Return Django's request, which the REST framework's wraps."""
    return cast("HttpRequest", getattr(request, "_request", request))


def user_id_of(request: Any) -> str | None:
    """Return the id of the authenticated user of a request, or None."""
    return _id(getattr(request, "user", None))


async def auser_id_of(request: Any) -> str | None:
    """Return the id of the authenticated user without blocking the event loop, or None."""
    if hasattr(request, "auser"):
        return _id(await request.auser())
    return user_id_of(request)


def _id(user: Any) -> str | None:
    return str(user.pk) if getattr(user, "is_authenticated", False) else None


def require_number(name: str, value: Any, *, least: float, whole: bool = False) -> None:
    """Raise TypeError or ValueError, with the name, unless this is from `least` to `MOST`."""
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        kind = "a whole number" if whole else "a number"
        raise TypeError(f"{name} must be {kind}, got {value!r}")
    if not least <= value <= MOST:
        raise ValueError(f"{name} must be from {least:g} to {MOST}, got {shortened(value)}")
