"""Calls are counted per key and caller, here or in Redis, and told about in headers."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.utils.decorators import method_decorator
from django.views import View
from limits.errors import StorageError
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from core.decorators import counting, rate_limit, reset_rate_limits
from core.decorators.counting import MemoryCounter, RedisCounter
from core.drf_errors import exception_handler
from core.exceptions import ConfigurationError, RateLimitError

get = RequestFactory().get


class Member:
    """A user who is logged in."""

    is_authenticated = True

    def __init__(self, pk: int | str) -> None:
        self.pk = pk


@pytest.fixture(autouse=True)
def _in_memory(settings: Any) -> None:
    settings.RATE_LIMIT_REDIS_URL = ""
    reset_rate_limits()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The time that the library sees; call it to let seconds pass."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def let_pass(seconds: float) -> None:
        now[0] += seconds

    return let_pass


@rate_limit(key="page", limit=2, period=60)
def page(request: HttpRequest) -> HttpResponse:
    """Show a page."""
    return JsonResponse({"page": 1})


def refused(call: Any, *args: Any, **kwargs: Any) -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        call(*args, **kwargs)
    return caught.value


def test_the_call_after_the_last_is_refused() -> None:
    """A hundred calls in an hour are allowed, the next is a 429 that says when to come back."""

    @rate_limit(key="api", limit=100, period=3600)
    def api() -> str:
        return "done"

    assert [api() for _ in range(100)] == ["done"] * 100
    error = refused(api)
    assert (error.status_code, error.error_code) == (429, "RATE_LIMIT_EXCEEDED")
    assert error.details == {"limit": 100, "period": 3600, "retry_after": 3600}
    assert "100 calls in 3600 s" in error.message


def test_an_async_function_with_a_local_limit() -> None:
    """A hundred calls of an async function are awaited, the next raises."""

    @rate_limit(max_calls=100, time_window=60)
    async def endpoint() -> dict[str, str]:
        """Say that it worked."""
        return {"message": "success"}

    async def call_all() -> None:
        for _ in range(100):
            assert await endpoint() == {"message": "success"}
        with pytest.raises(RateLimitError):
            await endpoint()

    assert asyncio.iscoroutinefunction(endpoint)
    assert (endpoint.__name__, endpoint.__doc__) == ("endpoint", "Say that it worked.")
    asyncio.run(call_all())


def test_the_window_moves(clock: Any) -> None:
    """A call counts for as long as the period; there is no fixed moment when all are forgotten."""
    call = rate_limit(max_calls=2, time_window=60)(lambda: None)
    call()
    clock(40)
    call()
    clock(15)
    assert refused(call).details["retry_after"] == 5
    clock(6)
    call()
    assert refused(call).details["retry_after"] == 39


def test_each_client_has_a_count_of_its_own() -> None:
    """Requests are counted by address when nobody is logged in."""
    for address in ("203.0.113.1", "203.0.113.2"):
        page(get("/", REMOTE_ADDR=address))
        page(get("/", REMOTE_ADDR=address))
        refused(page, get("/", REMOTE_ADDR=address))


def test_a_network_of_ipv6_is_one_client() -> None:
    """Another address of the same /64 is no way out; another network is another client."""
    page(get("/", REMOTE_ADDR="2001:db8::1"))
    page(get("/", REMOTE_ADDR="2001:db8::2"))
    refused(page, get("/", REMOTE_ADDR="2001:db8::ffff"))
    page(get("/", REMOTE_ADDR="2001:db8:0:1::1"))


def test_users_are_counted_wherever_they_are() -> None:
    """A user has one count at all addresses, and does not use up that of others there."""

    def visit(user: Member, address: str) -> Any:
        request = get("/", REMOTE_ADDR=address)
        request.user = user  # type: ignore[assignment]  # all that is asked of a user
        return page(request)

    visit(Member(1), "203.0.113.1")
    visit(Member(1), "203.0.113.2")
    refused(visit, Member(1), "203.0.113.3")
    visit(Member(2), "203.0.113.1")


def test_a_request_without_an_address_is_counted() -> None:
    """Nobody escapes by having no address."""
    page(get("/", REMOTE_ADDR=""))
    page(get("/", REMOTE_ADDR="", HTTP_X_FORWARDED_FOR="nonsense"))
    refused(page, get("/", REMOTE_ADDR=""))


def test_one_key_is_one_count() -> None:
    """Two functions with the same key, limit and period share it; other keys do not."""
    options = {"key": "shared", "limit": 1, "period": 60}
    first, second = (rate_limit(**options)(lambda: None) for _ in range(2))
    first()
    refused(second)
    rate_limit(key="other", limit=1, period=60)(lambda: None)()


def test_local_limits_are_separate() -> None:
    """Each limit without a key is of its own, even on functions of the same name."""
    first, second = (rate_limit(max_calls=1, time_window=60)(lambda: None) for _ in range(2))
    first()
    second()
    refused(first)


def test_the_headers_of_a_response() -> None:
    """A response says the policy, what is left and when it is renewed; so does the refusal."""
    response = page(get("/"))
    assert response["RateLimit-Policy"] == '"page";q=2;w=60'
    assert response["RateLimit"] == '"page";r=1;t=60'
    page(get("/"))
    error = refused(page, get("/"))
    assert error.headers == {
        "RateLimit-Policy": '"page";q=2;w=60',
        "RateLimit": '"page";r=0;t=60',
        "Retry-After": "60",
    }


def test_two_limits_on_a_view() -> None:
    """Both are in the headers, as items of a list."""
    view = rate_limit(key="hour", limit=100, period=3600)(page)
    assert view(get("/"))["RateLimit"] == '"page";r=1;t=60, "hour";r=99;t=3600'


def test_a_key_cannot_break_the_headers() -> None:
    """A header holds printable ASCII only, with quotes escaped."""
    view = rate_limit(key='a"\\\r\nX: ä', limit=1, period=1)(lambda request: HttpResponse())
    assert view(get("/"))["RateLimit-Policy"] == '"a\\"\\\\??X: ?";q=1;w=1'


class Classic(View):
    """A view with a limit on a method."""

    @rate_limit(key="classic", limit=1, period=60)
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("classic")


@method_decorator(rate_limit(max_calls=1, time_window=60), name="dispatch")
class Dispatched(View):
    """A view with a limit on all of its methods."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("dispatched")


@pytest.mark.parametrize("view", [Classic.as_view(), Dispatched.as_view()])
def test_class_based_views(view: Any) -> None:
    """A limit stands on a method, or on `dispatch` by Django's `method_decorator`."""
    assert "RateLimit" in view(get("/"))
    assert refused(view, get("/")).headers["Retry-After"] == "60"


class Framework(APIView):
    """A view of the REST framework."""

    def get_exception_handler(self) -> Any:
        return exception_handler

    @rate_limit(key="framework", limit=1, period=60)
    def get(self, request: Any) -> Response:
        return Response({"framework": True})


def test_views_of_the_rest_framework() -> None:
    """The framework's response has the headers, and a refusal is its 429 with Retry-After."""
    view = Framework.as_view()
    allowed = view(APIRequestFactory().get("/"))
    assert (allowed.status_code, allowed["RateLimit"]) == (200, '"framework";r=0;t=60')
    response = view(APIRequestFactory().get("/"))
    assert (response.status_code, response["Retry-After"]) == (429, "60")
    assert response["RateLimit"] == '"framework";r=0;t=60'
    assert response.data["error_code"] == "RATE_LIMIT_EXCEEDED"


def test_an_async_view() -> None:
    """An async view is counted per user without blocking the event loop."""

    @rate_limit(key="async", limit=1, period=60)
    async def view(request: Any) -> HttpResponse:
        return HttpResponse()

    async def auser() -> Member:
        return Member(7)

    async def visit() -> None:
        request: Any = AsyncRequestFactory().get("/")
        request.auser = auser
        assert (await view(request))["RateLimit"] == '"async";r=0;t=60'
        with pytest.raises(RateLimitError):
            await view(request)

    asyncio.run(visit())


def test_static_and_class_methods() -> None:
    """A limit works below @classmethod and @staticmethod."""

    class Service:
        @classmethod
        @rate_limit(max_calls=1, time_window=60)
        def made(cls) -> str:
            return cls.__name__

        @staticmethod
        @rate_limit(max_calls=1, time_window=60)
        def plain() -> str:
            return "plain"

    assert (Service.made(), Service.plain()) == ("Service", "plain")
    refused(Service.made)
    refused(Service().plain)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 1, "max_calls": 1},
        {"key": "a", "max_calls": 1, "time_window": 1},
        {"limit": 1, "period": 1, "max_calls": 1, "time_window": 1},
        {},
        {"key": "a"},
        {"limit": 1},
        {"max_calls": 1},
        {"limit": "1", "period": 1},
        {"limit": True, "period": 1},
        {"limit": 1.5, "period": 1},
        {"limit": 1, "period": 0.5},
        {"key": 7, "limit": 1, "period": 1},
        {"key": "", "limit": 1, "period": 1},
    ],
)
def test_options_that_make_no_limit(options: dict[str, Any]) -> None:
    """Mixed, missing and mistyped options fail where they are written."""
    with pytest.raises(TypeError):
        rate_limit(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0, "period": 1},
        {"limit": 1, "period": -1},
        {"max_calls": 0, "time_window": 1},
        {"limit": 1, "period": 1, "backend": "redis"},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    """A limit that nothing passes, or an unknown backend, fails where it is written."""
    with pytest.raises(ValueError, match="must be"):
        rate_limit(**options)


@pytest.mark.parametrize(
    "target", [Classic, Classic(), 7, None, classmethod(print), (n for n in ())]
)
def test_only_functions_are_limited(target: Any) -> None:
    """Decorating what is no function fails with the way out."""
    with pytest.raises(TypeError):
        rate_limit(max_calls=1, time_window=1)(target)


def test_a_limit_needs_parentheses() -> None:
    """`@rate_limit` alone is a mistake that is noticed."""
    with pytest.raises(TypeError, match="with parentheses"):
        rate_limit(lambda: None)  # type: ignore[arg-type]  # the mistake in question


def test_callers_who_are_gone_take_no_memory(clock: Any) -> None:
    """Counts of the past are removed, so that many callers do not fill the memory."""
    counter = MemoryCounter()
    for number in range(counting.TIDY_EVERY - 1):
        counter.hit(1, 60, f"caller {number}")
    clock(61)
    counter._storage._MemoryStorage__expire_events()  # type: ignore[attr-defined]  # what its timer does
    counter.hit(1, 60, "the last")
    assert list(counter._storage.events) == ["LIMITER/the last/1/60/second"]


@pytest.fixture
def shared_key(settings: Any, redis_url: str) -> str:
    """A key that nobody else counts under, with the limits in Redis."""
    settings.RATE_LIMIT_REDIS_URL = redis_url
    return uuid4().hex


def test_calls_are_counted_in_redis(shared_key: str) -> None:
    """Another process, with a counter of its own, sees the same count."""
    call = rate_limit(key=shared_key, limit=2, period=60)(lambda: None)
    call()
    counting._shared.clear()
    call()
    counting._shared.clear()
    assert refused(call).details["retry_after"] == 60
    reset_rate_limits()
    refused(call)


def test_exactly_as_many_as_allowed(shared_key: str) -> None:
    """However many callers come at the same moment, no more pass than the limit says."""
    call = rate_limit(key=shared_key, limit=50, period=60)(lambda: None)

    def attempt(_: int) -> bool:
        try:
            call()
        except RateLimitError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(120))) == 50


def test_redis_is_asked_off_the_event_loop(shared_key: str) -> None:
    """An async function counts in Redis as well."""

    @rate_limit(key=shared_key, limit=1, period=60)
    async def call() -> str:
        return "done"

    async def twice() -> None:
        assert await call() == "done"
        with pytest.raises(RateLimitError):
            await call()

    asyncio.run(twice())


def test_what_may_block_is_asked_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is slow does not hold up the event loop."""
    asked: list[int] = []

    class Slow:
        blocks = True

        def hit(self, *args: Any) -> None:
            asked.append(threading.get_ident())

    monkeypatch.setattr(counting, "shared", Slow)

    @rate_limit(limit=1, period=60)
    async def call() -> int:
        return threading.get_ident()

    assert asyncio.run(call()) not in asked
    assert len(asked) == 1


def test_the_backend_can_be_chosen(shared_key: str) -> None:
    """`backend` counts here what is usually counted in Redis, and the other way round."""
    here = rate_limit(key=shared_key, limit=1, period=60, backend="local")(lambda: None)
    here()
    reset_rate_limits()
    here()
    name = f"f{shared_key}"
    namespace: dict[str, Any] = {"__name__": "tests"}
    exec(f"def {name}(): pass", namespace)
    there = rate_limit(max_calls=1, time_window=60, backend="shared")(namespace[name])
    there()
    reset_rate_limits()
    refused(there)


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_id_of_a_user_reads_like_another() -> None:
    """Ids may be texts that users choose: the parts of a key still cannot be shifted."""
    one = rate_limit(key="odd", limit=1, period=60)(lambda request: True)
    other = rate_limit(key="odd/user:x", limit=1, period=60)(lambda request: True)
    for view, pk in ((one, "x/user:y"), (other, "y"), (one, "\udc80")):
        request = get("/")
        request.user = Member(pk)  # type: ignore[assignment]  # all that is asked of a user
        assert view(request)


def test_every_call_passes_while_redis_is_down(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Without Redis nobody is refused, nothing is slow, and the log says so once."""
    settings.RATE_LIMIT_REDIS_URL = f"redis://127.0.0.1:{_free_port()}/0"
    view = rate_limit(key="down", limit=1, period=60)(lambda request: HttpResponse())
    with caplog.at_level(logging.INFO, logger="core.decorators.counting"):
        responses = [view(get("/")) for _ in range(5)]
    assert not any("RateLimit" in response for response in responses)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("Redis is down: rate limits let every call pass")


def test_redis_comes_back(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """While it is down it is left alone; when it is back calls count again, which is logged."""
    clock = _Clock()
    counter = RedisCounter(redis_url, clock=clock)
    working = counter._limiter
    broken = counting.MovingWindowRateLimiter(
        counting._redis(f"redis://127.0.0.1:{_free_port()}/0")
    )

    def hit() -> bool:
        return counter.hit(10, 60, uuid4().hex) is not None

    with caplog.at_level(logging.INFO, logger="core.decorators.counting"):
        counter.__dict__["_limiter"] = broken
        assert not hit()
        clock.now += counting.PAUSE + 1
        assert not hit()
        counter.__dict__["_limiter"] = working
        assert not hit(), "it is left alone for a while"
        clock.now += counting.PAUSE + 1
        assert hit()
        counter.__dict__["_limiter"] = broken
        assert not hit()
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "INFO", "ERROR"]


def test_one_call_finds_out_whether_redis_is_back() -> None:
    """A Redis that hangs holds up one call at a time; the others pass while it is asked."""
    clock = _Clock()
    counter = RedisCounter("redis://localhost", clock=clock)
    meanwhile: list[Any] = []

    class Hanging:
        asked = 0

        def hit(self, *args: Any) -> bool:
            self.asked += 1
            if self.asked > 1:
                meanwhile.extend(counter.hit(1, 60, "x") for _ in range(3))
            raise StorageError(OSError("hangs"))

    hanging = counter.__dict__["_limiter"] = Hanging()
    assert counter.hit(1, 60, "x") is None
    clock.now += counting.PAUSE
    assert counter.hit(1, 60, "x") is None
    assert (hanging.asked, meanwhile) == (2, [None] * 3)


@pytest.mark.parametrize("url", ["http://localhost", "nonsense", "redis://h:port/0"])
def test_an_address_that_is_no_redis(settings: Any, url: str) -> None:
    """A setting that cannot be used is an error of configuration, not silence."""
    settings.RATE_LIMIT_REDIS_URL = url
    call = rate_limit(key="x", limit=1, period=1)(lambda: None)
    with pytest.raises(ConfigurationError, match="RATE_LIMIT_REDIS_URL"):
        call()
