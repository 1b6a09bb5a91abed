"""Every middleware of ours works under WSGI and ASGI, alone and with others, without a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.urls import path
from django.utils.module_loading import import_string

from core.context import Context, current_context, event_context
from core.exceptions import NotFoundError
from core.middleware.base import Middleware
from core.middleware.order import ORDER
from tests.unit.core.jwt.signing import OTHER, setting, token
from tests.unit.core.middleware.serving import SERVERS, ask, urls

OURS = [path for path in ORDER if path.startswith("core.")]
EACH = pytest.mark.parametrize("name", OURS, ids=lambda name: name.rpartition(".")[2])


def answers(request: HttpRequest) -> HttpResponse:
    """Answer."""
    return HttpResponse("ok")


async def answers_async(request: HttpRequest) -> HttpResponse:
    """Answer in an event loop."""
    await asyncio.sleep(0)
    return HttpResponse("ok")


def fails(request: HttpRequest) -> HttpResponse:
    """Raise what becomes 404."""
    raise NotFoundError


async def fails_async(request: HttpRequest) -> HttpResponse:
    """Raise it in an event loop."""
    raise NotFoundError


def breaks(request: HttpRequest) -> HttpResponse:
    """Raise what nobody expects."""
    raise ZeroDivisionError


@pytest.fixture(autouse=True)
def _system(settings: Any) -> None:
    settings.DEBUG = False
    settings.JWT_KEYS = {"a": setting("HS256")}
    settings.JWT_DEFAULT_KEY = "a"
    settings.ROOT_URLCONF = urls(
        path("api/ok", answers),
        path("api/aok", answers_async),
        path("api/fails", fails),
        path("api/afails", fails_async),
        path("api/breaks", breaks),
    )


@EACH
@SERVERS
@pytest.mark.parametrize(
    ("view", "status"),
    [("ok", 200), ("aok", 200), ("fails", 404), ("afails", 404), ("breaks", 500)],
)
@pytest.mark.parametrize("others", [False, True], ids=["alone", "with others"])
def test_under_both_servers(
    name: str, server: str, view: str, status: int, others: bool, settings: Any
) -> None:
    """Sync and async views answer, fail and break the same; the context is clear afterwards."""
    errors = ORDER[-1]
    settings.MIDDLEWARE = list(ORDER) if others else list(dict.fromkeys([name, errors]))
    with event_context(actor="outside") as before:
        assert ask(server, f"/api/{view}").status == status
        assert current_context() == before


@EACH
def test_each_is_native_in_both(name: str) -> None:
    """In an event loop it is a coroutine function, elsewhere it is not."""
    kind: Any = import_string(name)
    assert kind.sync_capable
    assert kind.async_capable
    assert iscoroutinefunction(kind(answers_async))
    assert not iscoroutinefunction(kind(answers))


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make whatever goes to a thread fail."""

    async def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"{self.func} went to a thread")

    monkeypatch.setattr(SyncToAsync, "__call__", refuse)


def chain(view: Any) -> Any:
    """Return our middleware in their order around a view."""
    for name in reversed(OURS):
        view = import_string(name)(view)
    return view


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {token(key=OTHER)}"}])
def test_an_event_loop_needs_no_thread(headers: dict[str, str]) -> None:
    """For whom nothing has to be looked up: without credentials, and with a forged token."""
    ran_in: list[int] = []

    async def view(request: Any) -> HttpResponse:
        ran_in.append(threading.get_ident())
        return HttpResponse()

    async def serve() -> HttpResponse:
        request = AsyncRequestFactory().get("/api/ok", headers=headers)
        return await chain(view)(request)  # type: ignore[no-any-return]

    response = asyncio.run(serve())
    assert response.status_code == (401 if headers else 200)
    assert ran_in == ([] if headers else [threading.get_ident()])


def test_the_chain_outside_of_django() -> None:
    """Middleware can be called by hand, as other tests do, with any request."""
    request = RequestFactory().get("/api/ok")
    assert chain(answers)(request).status_code == 200
    assert current_context() == Context()


def test_a_middleware_serves_in_both_modes() -> None:
    """One that lacks a mode stops the start: it must not be passed over under the other server."""

    class Half(Middleware):
        def serve(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    with pytest.raises(TypeError, match="aserve"):
        Half(answers)  # type: ignore[abstract]  # that is the point
