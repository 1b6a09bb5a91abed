"""The tenant of a request is set for those who may act in it, and gone afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path

from core.context import Context, current_context
from core.exceptions import TenantError
from core.middleware.tenant_checks import check_tenant
from core.tenancy import get_current_tenant, require_current_tenant
from tests.unit.core.jwt.signing import setting, token
from tests.unit.core.middleware.serving import SERVERS, Answer, aask, ask, urls

AUTH = "core.middleware.auth_middleware.AuthMiddleware"
TENANT = "core.middleware.tenant.TenantMiddleware"


def shown(request: HttpRequest) -> JsonResponse:
    """Tell tenant and roles."""
    context = current_context()
    return JsonResponse({"tenant": context.tenant_id, "roles": context.roles})


async def ashown(request: HttpRequest) -> JsonResponse:
    """Tell them in an event loop."""
    await asyncio.sleep(0)
    return shown(request)


def needs_tenant(request: HttpRequest) -> JsonResponse:
    """Insist on a tenant."""
    return JsonResponse({"tenant": require_current_tenant()})


def streams(request: HttpRequest) -> HttpResponseBase:
    """Tell the tenant after the view has returned."""

    def chunks() -> Iterator[str]:
        yield f"{get_current_tenant()}"

    return StreamingHttpResponse(chunks())


async def astreams(request: HttpRequest) -> HttpResponseBase:
    """Tell it in an event loop."""

    async def chunks() -> AsyncIterator[str]:
        await asyncio.sleep(0)
        yield f"{get_current_tenant()}"

    return StreamingHttpResponse(chunks())


def from_query(request: HttpRequest) -> Any:
    """Read the tenant as a project might."""
    return request.META.get("HTTP_X_OUR_TENANT")


async def afrom_query(request: HttpRequest) -> Any:
    """Read it in an event loop."""
    await asyncio.sleep(0)
    return from_query(request)


def everybody(request: HttpRequest, tenant_id: str) -> bool:
    """Let in whoever asks for a tenant that begins with an a."""
    return tenant_id.startswith("a")


async def aeverybody(request: HttpRequest, tenant_id: str) -> bool:
    """Do so in an event loop."""
    await asyncio.sleep(0)
    return everybody(request, tenant_id)


def members(request: HttpRequest, tenant_id: str) -> Any:
    """Return the roles that the groups of this tenant's name prefix give: from the database."""
    groups = Group.objects.filter(name__startswith=f"{tenant_id}:")
    return groups.order_by("name").values_list("name", flat=True)


def confused(request: HttpRequest, tenant_id: str) -> Any:
    """Return what is no verdict."""
    return "admin"


@pytest.fixture(autouse=True)
def _system(settings: Any) -> None:
    settings.MIDDLEWARE = [AUTH, TENANT]
    settings.JWT_KEYS = {"a": setting("HS256")}
    settings.JWT_DEFAULT_KEY = "a"
    settings.ALLOWED_HOSTS = ["*"]
    settings.DEBUG = False
    settings.ROOT_URLCONF = urls(
        path("api/shown", shown),
        path("api/ashown", ashown),
        path("api/needs", needs_tenant),
        path("api/streams", streams),
        path("api/astreams", astreams),
    )


def told(answer: Answer) -> dict[str, Any]:
    """Return the answer's JSON."""
    found: dict[str, Any] = json.loads(answer.body)
    return found


@SERVERS
@pytest.mark.parametrize("view", ["/api/shown", "/api/ashown"])
@pytest.mark.django_db
def test_the_claim_of_a_token(server: str, view: str, settings: Any) -> None:
    """The default; the token's roles are those in this tenant."""
    settings.JWT_ROLES_CLAIM = "roles"
    ann = User.objects.create_user("ann")
    sent = token(str(ann.pk), tenant_id="acme", roles=["user"])
    answer = ask(server, view, {"Authorization": f"Bearer {sent}", "X-Tenant-ID": "other"})
    assert told(answer) == {"tenant": "acme", "roles": ["user"]}
    assert current_context() == Context()


@SERVERS
@pytest.mark.django_db
def test_another_claim(server: str, settings: Any) -> None:
    """By setting; a number is as good as a text."""
    settings.TENANT_CLAIM = "org"
    sent = token(str(User.objects.create_user("ann").pk), org=5, tenant_id="other")
    answer = ask(server, "/api/shown", {"Authorization": f"Bearer {sent}"})
    assert told(answer)["tenant"] == "5"


@SERVERS
def test_a_header_is_not_believed(server: str, settings: Any) -> None:
    """Neither by default, nor when it is the source and nobody has said who may send it."""
    sent = {"X-Tenant-ID": "acme"}
    assert told(ask(server, "/api/shown", sent))["tenant"] is None
    settings.TENANT_SOURCE = "header"
    answer = ask(server, "/api/shown", sent)
    assert (answer.status, told(answer)["error_code"]) == (403, "TENANT_REFUSED")
    assert told(ask(server, "/api/shown"))["tenant"] is None


@SERVERS
def test_a_trusted_gateway(server: str, settings: Any) -> None:
    """Answers for the header that it sends."""
    settings.TENANT_SOURCE = "header"
    settings.TENANT_ACCESS = "core.middleware.tenant_sources.trusted_gateway"
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert ask(server, "/api/shown", {"X-Tenant-ID": "acme"}).status == 403
    settings.TRUSTED_PROXIES = ["127.0.0.0/8"]
    assert told(ask(server, "/api/shown", {"X-Tenant-ID": "acme"}))["tenant"] == "acme"


@SERVERS
def test_a_shared_cache_keeps_tenants_apart(server: str, settings: Any) -> None:
    """Also from who names none: each answer says that it varies by the header."""
    settings.TENANT_SOURCE, settings.TENANT_ACCESS = "header", everybody
    cache = "django.middleware.cache"
    kept = [f"{cache}.UpdateCacheMiddleware", TENANT, f"{cache}.FetchFromCacheMiddleware"]
    settings.MIDDLEWARE = kept
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": f"tenants-{server}"}}
    for name in ("acme", "another", None, "acme"):
        headers = {"X-Tenant-ID": name} if name else {}
        answer = ask(server, "/api/shown", headers)
        assert told(answer)["tenant"] == name
        assert answer.headers["vary"] == "X-Tenant-ID"


@SERVERS
@pytest.mark.parametrize("source", ["from_query", "afrom_query"])
@pytest.mark.parametrize("access", ["everybody", "aeverybody"])
def test_functions_of_a_project(server: str, source: str, access: str, settings: Any) -> None:
    """Say which tenant and who may; both may be coroutines, under either server."""
    settings.TENANT_SOURCE = globals()[source]
    settings.TENANT_ACCESS = globals()[access]
    assert told(ask(server, "/api/shown", {"X-Our-Tenant": "acme"}))["tenant"] == "acme"
    assert ask(server, "/api/shown", {"X-Our-Tenant": "zeta"}).status == 403
    assert current_context() == Context()


@SERVERS
@pytest.mark.django_db
def test_roles_in_the_tenant(server: str, settings: Any) -> None:
    """Come from the function that knows the members; who has none there is refused."""
    settings.TENANT_SOURCE, settings.TENANT_ACCESS = "header", members
    Group.objects.create(name="acme:user")
    answer = ask(server, "/api/shown", {"X-Tenant-ID": "acme"})
    assert told(answer) == {"tenant": "acme", "roles": ["acme:user"]}
    assert ask(server, "/api/shown", {"X-Tenant-ID": "zeta"}).status == 403


@SERVERS
@pytest.mark.django_db
def test_roles_of_a_token_stay_in_its_tenant(server: str, settings: Any) -> None:
    """A header that asks for another one does not take them along."""
    settings.JWT_ROLES_CLAIM = "roles"
    settings.TENANT_SOURCE, settings.TENANT_ACCESS = "header", everybody
    sent = token(str(User.objects.create_user("ann").pk), tenant_id="acme", roles=["admin"])
    headers = {"Authorization": f"Bearer {sent}", "X-Tenant-ID": "another"}
    assert told(ask(server, "/api/shown", headers)) == {"tenant": "another", "roles": []}


@SERVERS
@pytest.mark.parametrize(
    ("host", "status", "tenant"),
    [
        ("acme.example.com", 200, "acme"),
        ("ACME.Example.com:8000", 200, "acme"),
        ("acme.example.com.", 200, "acme"),
        ("example.com", 200, None),
        ("a.b.example.com", 400, None),
        ("evil-example.com", 400, None),
        ("example.com.evil.com", 400, None),
        ("a_b.example.com", 400, None),
    ],
)
def test_subdomains(server: str, host: str, status: int, tenant: Any, settings: Any) -> None:
    """One label above the domain is a tenant, the domain itself none, anything else an error."""
    settings.TENANT_SOURCE, settings.TENANT_DOMAIN = "subdomain", "example.com"
    settings.TENANT_ACCESS = everybody
    answer = ask(server, "/api/shown", {"Host": host})
    assert answer.status == status
    if status == 200:
        assert told(answer)["tenant"] == tenant


@SERVERS
@pytest.mark.parametrize("value", ["x" * 65, "a b", "é", "a\x00", "a\x7f", "acme,other"])
def test_what_is_no_tenant(server: str, value: str, settings: Any) -> None:
    """Is answered with 400 and the one body."""
    settings.TENANT_SOURCE, settings.TENANT_ACCESS = "header", everybody
    answer = ask(server, "/api/shown", {"X-Tenant-ID": value})
    assert (answer.status, told(answer)["error_code"]) == (400, TenantError.default_code)
    assert value not in answer.body.decode()


@SERVERS
def test_a_verdict_that_is_none(server: str, settings: Any) -> None:
    """Is a mistake of ours, and lets nobody in."""
    settings.TENANT_SOURCE, settings.TENANT_ACCESS = "header", confused
    assert ask(server, "/api/shown", {"X-Tenant-ID": "acme"}).status == 500


@SERVERS
def test_none(server: str, settings: Any) -> None:
    """Switches it off; what needs a tenant says so."""
    settings.TENANT_SOURCE = "none"
    settings.MIDDLEWARE = [TENANT, "core.middleware.exception_handler.ExceptionHandlerMiddleware"]
    assert told(ask(server, "/api/shown"))["tenant"] is None
    assert told(ask(server, "/api/needs"))["error_code"] == "TENANT_ERROR"


@pytest.mark.parametrize(("server", "view"), [("wsgi", "/api/streams"), ("asgi", "/api/astreams")])
def test_a_stream_keeps_its_tenant(server: str, view: str, settings: Any) -> None:
    """What is produced after the view has returned still belongs to the tenant."""
    settings.TENANT_SOURCE, settings.TENANT_ACCESS = "header", everybody
    assert ask(server, view, {"X-Tenant-ID": "acme"}).body == b"acme"
    assert get_current_tenant() is None


def test_requests_at_the_same_time(settings: Any) -> None:
    """In one event loop each has its own tenant, in its coroutines and in its threads."""
    settings.TENANT_SOURCE, settings.TENANT_ACCESS = "header", everybody
    names = [f"a{number}" for number in range(30)]

    async def all_at_once(view: str) -> list[Answer]:
        host = {"host": "testserver"}
        asked = [aask("GET", view, host | {"x-tenant-id": name}) for name in names]
        return await asyncio.gather(*asked)

    for view in ("/api/shown", "/api/ashown"):
        assert [told(answer)["tenant"] for answer in asyncio.run(all_at_once(view))] == names


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"TENANT_SOURCE": "none"}, []),
        ({"TENANT_SOURCE": "header"}, ["core.E062"]),
        ({"TENANT_SOURCE": "header", "TENANT_ACCESS": everybody}, []),
        ({"TENANT_SOURCE": "nowhere.at.all"}, ["core.E060"]),
        ({"TENANT_SOURCE": "headre"}, ["core.E060"]),
        ({"TENANT_SOURCE": 5}, ["core.E060"]),
        ({"TENANT_ACCESS": "nowhere.at.all"}, ["core.E061"]),
        ({"TENANT_SOURCE": "subdomain", "TENANT_ACCESS": everybody}, ["core.E063"]),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], expected: list[str], settings: Any) -> None:
    """Each that cannot be meant so is named."""
    for name, value in changes.items():
        setattr(settings, name, value)
    found = check_tenant(None)
    assert [each.id for each in found] == expected
    assert all("TENANT_" in each.msg for each in found)
