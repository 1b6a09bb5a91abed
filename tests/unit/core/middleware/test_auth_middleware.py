"""Who sends a request is known by token or by session; what is no valid token ends with 401."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth import aauthenticate, alogin, authenticate, login
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.signals import got_request_exception
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from core.context import Context, current_context
from core.drf_authentication import MiddlewareAuthentication
from core.drf_errors import exception_handler
from core.exceptions import AuthenticationError, ConfigurationError
from core.jwt import InvalidTokenError
from core.middleware.auth_middleware import AuthMiddleware
from core.roles import roles_of
from tests.unit.core.jwt.signing import OTHER, setting, token
from tests.unit.core.middleware.serving import SERVERS, Answer, ask, urls

pytestmark = pytest.mark.django_db


def whoami(request: Any) -> JsonResponse:
    """Tell what the view knows of its user."""
    context = current_context()
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "actor": context.actor_id,
            "roles": context.roles,
            "held": roles_of(request.user),
            "claims": bool(request.token_claims),
        }
    )


def has_device(request: Any) -> JsonResponse:
    """Tell what `SecondFactor` has added."""
    has = getattr(request.user, "has_device", False)
    return JsonResponse({"has": has, "actor": current_context().actor_id})


async def awhoami(request: Any) -> JsonResponse:
    """Tell the same of the awaited user, and whether it is the other one."""
    user = await request.auser()
    return JsonResponse(
        {
            "user": user.get_username(),
            "actor": current_context().actor_id,
            "same": user == request.user,
        }
    )


def public_page(request: HttpRequest) -> HttpResponse:
    """Answer without asking who it is."""
    return HttpResponse()


def needs_user(request: HttpRequest) -> HttpResponse:
    """Refuse whoever is here."""
    raise AuthenticationError


async def alogs_in(request: Any) -> JsonResponse:
    """Log in while the request has somebody else already."""
    user = await aauthenticate(request, username="bob", password="pw")
    await alogin(request, user)
    return JsonResponse({"user": (await request.auser()).get_username()})


def logs_in(request: Any) -> JsonResponse:
    """Do as `alogs_in`."""
    login(request, authenticate(request, username="bob", password="pw"))
    return JsonResponse({"user": request.user.get_username()})


class RestView(APIView):
    """A view of REST framework for users."""

    authentication_classes = (MiddlewareAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.get_username(), "claims": bool(request.auth)})

    post = get

    def get_exception_handler(self) -> Any:
        return exception_handler


@pytest.fixture(autouse=True)
def _system(settings: Any) -> None:
    settings.JWT_KEYS = {"a": setting("HS256"), "b": setting("ES256")}
    settings.JWT_DEFAULT_KEY = "a"
    settings.ROOT_URLCONF = urls(
        path("api/who", whoami),
        path("api/awho", awhoami),
        path("api/refused", needs_user),
        path("api/login", logs_in),
        path("api/alogin", alogs_in),
        path("api/rest", RestView.as_view()),
        path("public", public_page),
    )


@pytest.fixture
def ann() -> User:
    """A user."""
    return User.objects.create_user("ann")


@pytest.fixture
def bob() -> User:
    """Another user, with a password."""
    return User.objects.create_user("bob", password="pw")


def session_of(user: User) -> dict[str, str]:
    """Return the header of a browser in which the user has logged in."""
    client = Client()
    client.force_login(user)
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}


def bearer(text: str) -> dict[str, str]:
    """Return the header of a program that has this token."""
    return {"Authorization": f"Bearer {text}"}


def told(answer: Answer) -> dict[str, Any]:
    """Return the answer's JSON."""
    found: dict[str, Any] = json.loads(answer.body)
    return found


@SERVERS
@pytest.mark.parametrize("view", ["/api/who", "/api/awho"])
def test_by_token(server: str, view: str, ann: User) -> None:
    """The user of `sub` is the request's user and the context's actor; keys are found by name."""
    for sent in (token(str(ann.pk)), token(str(ann.pk), kid="b", algorithm="ES256")):
        answer = ask(server, view, bearer(sent))
        found = told(answer)
        assert (found["user"], found["actor"]) == ("ann", str(ann.pk))
        assert found.get("same", True)
        assert "authorization" in answer.headers["vary"].lower()
    assert current_context() == Context()


@SERVERS
@pytest.mark.parametrize("view", ["/api/who", "/api/awho"])
def test_by_session(server: str, view: str, ann: User) -> None:
    """The same for who has logged in, with Vary as Django sends it."""
    answer = ask(server, view, session_of(ann))
    assert (told(answer)["user"], told(answer)["actor"]) == ("ann", str(ann.pk))
    assert told(answer).get("same", True)
    assert "cookie" in answer.headers["vary"].lower()


@SERVERS
@pytest.mark.parametrize("view", ["/api/who", "/api/awho"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "sessionid=unknown-one"},
        {"Authorization": "Basic YTpi"},
        {"Cookie": "other=1"},
    ],
)
def test_anonymous_passes(server: str, view: str, headers: dict[str, str]) -> None:
    """Without credentials, or with such as are somebody else's matter."""
    answer = ask(server, view, headers)
    assert (answer.status, told(answer)["user"], told(answer)["actor"]) == (200, "", None)


@SERVERS
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (lambda pk: token(pk, key=OTHER), "INVALID_TOKEN"),
        (lambda pk: token(pk, exp=1), "TOKEN_EXPIRED"),
        (lambda pk: "garbage", "INVALID_TOKEN"),
        (lambda pk: "", "INVALID_TOKEN"),
        (lambda pk: f"{token(pk)},Bearer {token(pk)}", "INVALID_TOKEN"),
        (lambda pk: token("987654"), "INVALID_TOKEN"),
        (lambda pk: token("9" * 40), "INVALID_TOKEN"),
        (lambda pk: token("ann"), "INVALID_TOKEN"),
        (lambda pk: token(f" {pk} "), "INVALID_TOKEN"),
        (lambda pk: token(f"+{pk}"), "INVALID_TOKEN"),
        (lambda pk: token(f"0{pk}"), "INVALID_TOKEN"),
        (lambda pk: token(pk + "\x00"), "INVALID_TOKEN"),
        (lambda pk: token(chr(0x0660 + int(pk[0])) + pk[1:]), "INVALID_TOKEN"),
    ],
)
def test_a_bad_token_ends_the_request(server: str, sent: Any, code: str, ann: User) -> None:
    """With the one body and a challenge, though a session would be good."""
    answer = ask(server, "/public", bearer(sent(str(ann.pk))) | session_of(ann))
    assert answer.status == 401
    assert set(told(answer)) == {"success", "error", "error_code", "details"}
    assert told(answer)["error_code"] == code
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert is_harmless(answer)


def is_harmless(answer: Answer) -> bool:
    """Tell whether the answer can be followed and tells nothing of the token."""
    return "x-correlation-id" in answer.headers and b"eyJ" not in answer.body


@SERVERS
def test_a_shared_cache_keeps_users_apart(server: str, ann: User, bob: User, settings: Any) -> None:
    """Also from who sends no token: each answer says that it varies by the header."""
    cache = "django.middleware.cache"
    auth = "core.middleware.auth_middleware.AuthMiddleware"
    kept = [f"{cache}.UpdateCacheMiddleware", auth, f"{cache}.FetchFromCacheMiddleware"]
    settings.MIDDLEWARE = kept
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": f"users-{server}"}}
    for user in (None, ann, bob, None, ann):
        headers = bearer(token(str(user.pk), iat=1, exp=9_999_999_999)) if user else {}
        assert told(ask(server, "/api/who", headers))["user"] == (user.username if user else "")


class SecondFactor(MiddlewareMixin):
    """Puts more around the user, as packages for second factors do: it asks the database."""

    def process_request(self, request: Any) -> None:
        user = request.user

        def verified() -> Any:
            user.has_device = User.objects.exists()
            return user

        request.user = SimpleLazyObject(verified)


@SERVERS
def test_a_user_with_more_around(server: str, ann: User, settings: Any) -> None:
    """Stays the one that the other middleware has made."""
    ours = "core.middleware.auth_middleware.AuthMiddleware"
    paths = list(settings.MIDDLEWARE)
    paths.insert(paths.index(ours), f"{__name__}.SecondFactor")
    settings.MIDDLEWARE = paths
    settings.ROOT_URLCONF = urls(path("has", has_device))
    found = told(ask(server, "/has", session_of(ann)))
    assert found == {"has": True, "actor": str(ann.pk)}


@SERVERS
def test_who_is_switched_off(server: str, ann: User) -> None:
    """An inactive user is refused by token and is nobody by session."""
    cookie = session_of(ann)
    User.objects.update(is_active=False)
    assert ask(server, "/public", bearer(token(str(ann.pk)))).status == 401
    assert told(ask(server, "/api/who", cookie))["actor"] is None


@SERVERS
def test_the_token_wins(server: str, ann: User, bob: User) -> None:
    """Over the session of somebody else."""
    answer = ask(server, "/api/who", bearer(token(str(bob.pk))) | session_of(ann))
    assert (told(answer)["user"], told(answer)["claims"]) == ("bob", True)


@SERVERS
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_not_case_sensitive(server: str, scheme: str, ann: User) -> None:
    """As HTTP has it."""
    answer = ask(server, "/api/who", {"Authorization": f"{scheme} {token(str(ann.pk))}"})
    assert told(answer)["user"] == "ann"


@SERVERS
def test_roles_of_a_token(server: str, ann: User, settings: Any) -> None:
    """They count if the settings say so, besides those of groups; only for who sent it."""
    ann.groups.add(Group.objects.get_or_create(name="user")[0])
    sent = bearer(token(str(ann.pk), roles=["moderator", "unknown"]))
    assert told(ask(server, "/api/who", sent))["held"] == ["user", "guest"]
    settings.JWT_ROLES_CLAIM = "roles"
    found = told(ask(server, "/api/who", sent))
    assert found["held"] == ["moderator", "user", "guest"]
    assert found["roles"] == ["moderator", "unknown"]
    assert told(ask(server, "/api/who", bearer(token(str(ann.pk)))))["roles"] == []


@SERVERS
@pytest.mark.parametrize("roles", ["admin", {"admin": 1}, [1], None, 5])
def test_roles_that_are_no_list(server: str, roles: Any, ann: User, settings: Any) -> None:
    """Such a token is not valid; one without the claim is."""
    settings.JWT_ROLES_CLAIM = "roles"
    answer = ask(server, "/api/who", bearer(token(str(ann.pk), roles=roles)))
    assert answer.status == (200 if roles is None else 401)


@SERVERS
def test_csrf_is_for_sessions(server: str, ann: User) -> None:
    """A program with a token needs no CSRF token; a browser with a session does."""
    assert ask(server, "/api/who", bearer(token(str(ann.pk))), "POST").status == 200
    assert ask(server, "/api/who", session_of(ann), "POST").status == 403
    assert ask(server, "/api/who", {}, "POST").status == 403


@SERVERS
def test_rest_framework(server: str, ann: User) -> None:
    """Its views know the user, and keep CSRF for sessions."""
    assert told(ask(server, "/api/rest", bearer(token(str(ann.pk))), "POST")) == {
        "user": "ann",
        "claims": True,
    }
    assert told(ask(server, "/api/rest", session_of(ann))) == {"user": "ann", "claims": False}
    assert ask(server, "/api/rest", session_of(ann), "POST").status == 403
    answer = ask(server, "/api/rest")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


@SERVERS
def test_every_401_has_a_challenge(server: str) -> None:
    """Also that of a view."""
    answer = ask(server, "/api/refused")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("server", "view"), [("wsgi", "login"), ("asgi", "login"), ("asgi", "alogin")]
)
def test_logging_in_as_somebody_else(server: str, view: str, ann: User, bob: User) -> None:
    """The view then sees the new user, though another one was known before."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann)
    headers = session_of(ann) | bearer(token(str(ann.pk)))
    assert told(ask(server, f"/api/{view}", headers, "POST"))["user"] == "bob"


@SERVERS
@pytest.mark.parametrize(
    ("kind", "queries"), [("nobody", 0), ("cookie", 1), ("session", 2), ("token", 1)]
)
def test_what_it_costs(server: str, kind: str, queries: int, ann: User) -> None:
    """A query for the user, another for the session; nothing for who shows neither."""
    headers = {
        "nobody": {},
        "cookie": {"Cookie": "sessionid=unknown-one"},
        "session": session_of(ann),
        "token": bearer(token(str(ann.pk))),
    }[kind]
    with CaptureQueriesContext(connection) as asked:
        assert ask(server, "/public", headers).status == 200
    statements = [each["sql"] for each in asked if "SELECT" in each["sql"]]
    assert len(statements) == queries, statements
    with CaptureQueriesContext(connection) as again:
        ask(server, "/api/who", headers)
    users = [each for each in again if "auth_user" in each["sql"] and "group" not in each["sql"]]
    assert len(users) <= 1


@SERVERS
def test_without_djangos_middleware(server: str, ann: User, settings: Any) -> None:
    """A pure API needs no sessions: who sends no token is anonymous."""
    settings.MIDDLEWARE = ["core.middleware.auth_middleware.AuthMiddleware"]
    assert told(ask(server, "/api/who"))["user"] == ""
    assert told(ask(server, "/api/awho", {"Cookie": "sessionid=x"}))["actor"] is None
    assert told(ask(server, "/api/who", bearer(token(str(ann.pk)))))["actor"] == str(ann.pk)
    assert current_context() == Context()


@SERVERS
def test_a_database_that_is_down(
    server: str, ann: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Is 503 to programs, not a refused token."""

    def down(*args: Any) -> Any:
        raise OperationalError("no connection")

    monkeypatch.setattr("core.middleware.auth_middleware._users", down)
    answer = ask(server, "/api/who", bearer(token(str(ann.pk))))
    assert (answer.status, told(answer)["error_code"]) == (503, "DATABASE_ERROR")
    assert len([each for each in caplog.records if each.levelno >= logging.ERROR]) == 1


@SERVERS
def test_an_error_tracker_that_awaits(
    server: str, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes no response, though an event loop cannot call it."""

    def down(*args: Any) -> Any:
        raise OperationalError("no connection")

    async def track(**kwargs: Any) -> None:
        """Take note."""

    monkeypatch.setattr("core.middleware.auth_middleware._users", down)
    got_request_exception.connect(track)
    try:
        answer = ask(server, "/api/who", bearer(token(str(ann.pk))))
    finally:
        got_request_exception.disconnect(track)
    assert (answer.status, told(answer)["error_code"]) == (503, "DATABASE_ERROR")


@given(
    st.one_of(
        st.text(st.characters(max_codepoint=255)),
        st.tuples(
            st.sampled_from(["Bearer", "bearer", "Bearer\t", "Basic", ""]),
            st.sampled_from([" ", "  ", "", "\xa0", ","]),
            st.text(st.characters(max_codepoint=255)),
        ).map("".join),
    )
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header(value: str) -> None:
    """Is either nobody's or refused, and never reflected."""
    middleware = AuthMiddleware(lambda request: HttpResponse("passed"))
    response = middleware(RequestFactory().get("/", headers={"Authorization": value}))
    refused = value.strip().split(" ")[0].lower() == "bearer"
    assert response.status_code == (401 if refused else 200)
    if refused:
        assert response["WWW-Authenticate"] == InvalidTokenError().headers["WWW-Authenticate"]


def test_bad_keys_stop_the_start(settings: Any) -> None:
    """Rather than every request later."""
    settings.JWT_KEYS = {"a": {"algorithm": "HS256", "key": "short"}}
    with pytest.raises(ConfigurationError, match=r"JWT_KEYS\['a'\]"):
        ask("wsgi", "/public")


@pytest.mark.parametrize("where", ["/admin/login/"])
def test_the_admin(where: str, settings: Any) -> None:
    """One logs in there as ever."""
    settings.ROOT_URLCONF = "config.urls"
    User.objects.create_superuser("root", password="pw")
    client = Client()
    response = client.post(f"{where}?next=/admin/", {"username": "root", "password": "pw"})
    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert Session.objects.count() == 1 or "cache" in configured.SESSION_ENGINE


@SERVERS
def test_the_example_app(server: str, ann: User, settings: Any) -> None:
    """Its API takes a token."""
    settings.ROOT_URLCONF = "config.urls"
    answer = ask(server, "/api/session", bearer(token(str(ann.pk))))
    assert told(answer)["user"] == "ann"
