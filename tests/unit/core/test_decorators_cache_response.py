"""Responses are served again to whom they may be, and never to others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.utils import timezone, translation
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.viewsets import ViewSet

from core.context import Context, current_context, event_context, using_context
from core.csp import get_nonce
from core.decorators import cache_response, rate_limit
from core.middleware.security import SecurityHeadersMiddleware

factory = RequestFactory()


class Member:
    """A user who is logged in."""

    is_authenticated = True
    is_active = True

    def __init__(self, pk: int) -> None:
        self.pk = pk


@pytest.fixture(autouse=True)
def _own_cache(settings: Any) -> None:
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "responses"}}
    cache.clear()


class Counted:
    """A view that counts its calls and answers with the count."""

    def __init__(self, answer: Callable[[HttpRequest], Any] | None = None) -> None:
        self.calls = 0
        self.answer = answer

    def __call__(self, request: Any) -> Any:
        self.calls += 1
        if self.answer:
            return self.answer(request)
        return HttpResponse(f"call {self.calls}", headers={"X-Kind": "counted"})


def cached(view: Counted) -> Any:
    return cache_response(timeout=300, key_prefix="users")(lambda request: view(request))


def times_called(view: Counted, *requests: Any) -> int:
    """Return how often the view runs when these requests come one after another."""
    decorated = cached(view)
    for request in requests:
        response = decorated(request)
        if hasattr(response, "render"):
            response.render()
    return view.calls


def test_the_second_request_does_not_run_the_view() -> None:
    """Within the time the stored response is served, with its headers."""
    view = Counted()
    decorated = cached(view)
    first, second = (decorated(factory.get("/users?page=1")) for _ in range(2))
    assert view.calls == 1
    assert (second.status_code, second.content) == (200, b"call 1")
    assert second["X-Kind"] == "counted"
    assert first.content == second.content


def test_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time-out the view runs again."""
    decorated = cached(view := Counted())
    decorated(factory.get("/"))
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    decorated(factory.get("/"))
    assert view.calls == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (factory.get("/a"), factory.get("/b")),
        (factory.get("/a?x=1"), factory.get("/a?x=2")),
        (factory.get("/a"), factory.get("/a", HTTP_HOST="localhost")),
        (factory.get("/a"), factory.head("/a")),
    ],
)
def test_what_tells_requests_apart(one: HttpRequest, other: HttpRequest) -> None:
    """Path, query, host and method each have a response of their own."""
    assert times_called(Counted(), one, other, one, other) == 2


def test_two_prefixes_do_not_meet() -> None:
    """`key_prefix` keeps views apart that answer at the same address."""
    views = [Counted(), Counted()]
    for prefix, view in zip(("a", "b"), views, strict=True):
        cache_response(60, prefix)(lambda request, view=view: view(request))(factory.get("/"))
    assert [view.calls for view in views] == [1, 1]


def by(user: Any) -> HttpRequest:
    request = factory.get("/mine")
    request.user = user
    return request


def test_each_user_has_responses_of_their_own() -> None:
    """What one user sees is never served to another, nor to nobody."""
    requests = [by(Member(1)), by(Member(2)), factory.get("/mine")]
    assert times_called(Counted(), *requests, *requests) == 3


def test_each_tenant_has_responses_of_its_own() -> None:
    """A tenant found by a header or a host name is part of the key."""
    view = Counted()
    decorated = cached(view)
    for tenant in ("a", "b", "a", "b"):
        with event_context(tenant=tenant):
            decorated(factory.get("/"))
    assert view.calls == 2


def test_an_unknown_authorization_is_left_alone() -> None:
    """A token that a view checks itself may stand for anybody."""
    request = factory.get("/", HTTP_AUTHORIZATION="Bearer 1")
    assert times_called(Counted(), request, request) == 2


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_only_reading_is_answered_from_the_cache(method: str) -> None:
    """Any other method runs the view, and its response is not stored."""
    request = getattr(factory, method)("/")
    assert times_called(Counted(), request, request, factory.get("/")) == 3


def with_cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse()
    response.set_cookie("seen", "1")
    return response


def with_new_session(request: Any) -> HttpResponse:
    request.session["cart"] = 1
    return HttpResponse()


@pytest.mark.parametrize(
    "answer",
    [
        with_cookie,
        with_new_session,
        lambda request: HttpResponse(headers={"Set-Cookie": "a=1"}),
        lambda request: HttpResponse(headers={"Cache-Control": "private"}),
        lambda request: HttpResponse(headers={"Cache-Control": "max-age=1, No-Store"}),
        lambda request: HttpResponse(headers={"Cache-Control": "no-cache"}),
        lambda request: HttpResponse(headers={"Vary": "*"}),
        lambda request: HttpResponse(request.session.get("cart", "empty")),
        lambda request: HttpResponse(get_token(request)),
        lambda request: HttpResponse(status=201),
        lambda request: HttpResponse(status=404),
        lambda request: HttpResponse(status=500),
        lambda request: StreamingHttpResponse([b"a"]),
        lambda request: "not a response",
    ],
)
def test_what_is_not_stored(answer: Any) -> None:
    """Cookies, sessions, tokens, private answers, streams and failures are made anew each time."""
    requests: list[Any] = [factory.get("/") for _ in range(2)]
    for request in requests:
        request.session = SessionStore()
    assert times_called(Counted(answer), *requests) == 2


def test_a_session_that_was_read_before_is_still_said_to_be() -> None:
    """The note by which Django says `Vary: Cookie` is there afterwards, also after an error."""

    def fail(request: Any) -> Any:
        raise ValueError("the view failed")

    for answer in (None, fail):
        request: Any = factory.get("/")
        request.session = SessionStore()
        request.session.accessed = True
        try:
            cached(Counted(answer))(request)
        except ValueError:
            assert answer is fail
        assert request.session.accessed


def test_an_error_is_not_stored() -> None:
    """After a failure the view runs again."""
    answers: list[Any] = [ValueError("down"), HttpResponse("up")]

    def answer(request: Any) -> Any:
        result = answers.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    decorated = cached(Counted(answer))
    with pytest.raises(ValueError, match="down"):
        decorated(factory.get("/"))
    assert decorated(factory.get("/")).content == b"up"


def test_headers_that_vary() -> None:
    """A response is served only to requests with the same values of the headers it varies on."""

    def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Vary": "Accept, X-Kind"})

    view = Counted(answer)
    plain = {"HTTP_ACCEPT": "a", "HTTP_X_KIND": "bc"}
    shifted = {"HTTP_ACCEPT": "ab", "HTTP_X_KIND": "c"}
    requests = [factory.get("/", **headers) for headers in (plain, shifted, {})]
    assert times_called(view, *requests, *requests) == 3


def test_limits_of_others_are_not_repeated() -> None:
    """The headers of a rate limit belong to one caller."""
    decorated = cache_response()(
        rate_limit(max_calls=5, time_window=60)(lambda request: HttpResponse())
    )
    assert "RateLimit" in decorated(factory.get("/"))
    assert "RateLimit" not in decorated(factory.get("/"))


def test_templates_are_stored_when_rendered() -> None:
    """A response that is rendered later is stored then, unless its template used the session."""
    template = engines["django"].from_string("{{ request.session.cart }}x")

    def answer(request: HttpRequest) -> Any:
        return TemplateResponse(request, template, {})

    plain = Counted(answer)
    assert times_called(plain, factory.get("/"), factory.get("/")) == 1
    requests: list[Any] = [factory.get("/cart") for _ in range(2)]
    for request in requests:
        request.session = SessionStore()
    assert times_called(Counted(answer), *requests) == 2


class Things(ViewSet):
    """A viewset whose list is stored."""

    authentication_classes = ()
    renderer_classes = (JSONRenderer,)
    calls = 0

    @cache_response(timeout=60)
    def list(self, request: Any) -> Response:
        type(self).calls += 1
        return Response({"things": self.calls})


def test_views_of_the_rest_framework() -> None:
    """A method of a viewset is served from the cache once it has been rendered."""
    view = Things.as_view({"get": "list"})
    bodies = [view(APIRequestFactory().get("/things")).render().content for _ in range(1)]
    again = view(APIRequestFactory().get("/things"))
    assert [*bodies, again.content] == [b'{"things":1}', b'{"things":1}']
    other = APIRequestFactory().get("/things")
    force_authenticate(other, user=Member(1))  # type: ignore[arg-type]  # all that is asked of a user
    assert view(other).render().content == b'{"things":2}'


def test_an_async_view() -> None:
    """An async view stays async and is cached in the same way."""
    calls = []

    @cache_response(timeout=60)
    async def view(request: Any) -> HttpResponse:
        calls.append(1)
        return HttpResponse(b"async")

    async def twice() -> list[bytes]:
        return [(await view(AsyncRequestFactory().get("/"))).content for _ in range(2)]

    assert asyncio.run(twice()) == [b"async", b"async"]
    assert len(calls) == 1


def test_a_cache_that_is_down(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Without a cache the view runs each time, and the log says why."""
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    assert times_called(Counted(), factory.get("/"), factory.get("/")) == 2
    assert "the cache of responses is not available" in caplog.text


def test_two_functions_do_not_meet() -> None:
    """Functions that answer for the same address have responses of their own."""

    @cache_response()
    def inner(request: HttpRequest) -> HttpResponse:
        return HttpResponse("inner")

    @cache_response()
    def outer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"outer " + inner(request).content)

    assert [outer(factory.get("/")).content for _ in range(2)] == [b"outer inner"] * 2


@pytest.mark.parametrize("prefix", ["a b", "ä", "a" * 81, "a\n"])
def test_a_prefix_fits_every_cache(prefix: str) -> None:
    """A prefix that some cache refuses fails where it is written."""
    with pytest.raises(ValueError, match="key_prefix"):
        cache_response(key_prefix=prefix)


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_time_out_must_be_positive(timeout: int) -> None:
    """A time in which nothing is kept fails where it is written."""
    with pytest.raises(ValueError, match="timeout"):
        cache_response(timeout)


@pytest.mark.parametrize("options", [{"timeout": "5"}, {"timeout": True}, {"key_prefix": 7}])
def test_options_of_another_type(options: dict[str, Any]) -> None:
    """Options of another type fail where they are written."""
    with pytest.raises(TypeError):
        cache_response(**options)


def test_it_needs_parentheses_and_a_request() -> None:
    """Leaving out the parentheses, or decorating what is no view, is noticed."""
    with pytest.raises(TypeError, match="parentheses"):
        cache_response(lambda request: None)  # type: ignore[arg-type]  # the mistake in question
    with pytest.raises(TypeError, match="for views"):
        cache_response()(lambda number: number)(7)


def test_a_page_with_a_nonce_is_not_kept() -> None:
    """Its scripts would not run under the policy of another request."""

    def nonces(show: bool) -> Counted:
        return Counted(lambda request: HttpResponse(get_nonce(request) if show else "plain"))

    def asked() -> Any:
        request = factory.get("/page")
        SecurityHeadersMiddleware(lambda request: HttpResponse())(request)
        return request

    assert times_called(nonces(show=True), asked(), asked()) == 2
    cache.clear()
    assert times_called(nonces(show=False), asked(), asked()) == 1


def test_roles_of_the_context_are_kept_apart() -> None:
    """The same user may have fewer of them by another token."""
    view = Counted(lambda request: HttpResponse(",".join(current_context().roles)))
    decorated = cached(view)
    for roles in (("admin",), ("guest",)):
        with using_context(Context(actor_id="1", roles=roles)):
            assert decorated(factory.get("/page")).content.decode() == roles[0]


@pytest.mark.parametrize(
    "here", [partial(translation.override, "de"), partial(timezone.override, "Asia/Tokyo")]
)
def test_languages_and_time_zones_are_kept_apart(here: Any) -> None:
    """A text or a time that was made for one reader is not shown to another."""
    view = Counted()
    decorated = cached(view)
    for _ in range(2):
        decorated(factory.get("/"))
        with here():
            decorated(factory.get("/"))
    assert view.calls == 2
