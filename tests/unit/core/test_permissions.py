"""Permissions, ownership and roles: who may do what."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.utils.functional import SimpleLazyObject
from pytest_django import DjangoAssertNumQueries
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from core.context import event_context
from core.exceptions import AuthorizationError, ConfigurationError, ValidationError
from core.permissions import PermissionChecker, RoleBasedPermission
from core.tenancy import TenantContext, set_current_tenant
from tests.sample.models import Gathering, Invitation, Profile

pytestmark = pytest.mark.django_db

CHANGE = "sample.change_gathering"
DELETE = "sample.delete_gathering"


def make_user(name: str, *groups: str, **fields: Any) -> User:
    user = User.objects.create_user(name, **fields)
    user.groups.set(Group.objects.get_or_create(name=group)[0] for group in groups)
    return fresh(user)


def fresh(user: User) -> User:
    """Return the user as the next request finds them."""
    return User.objects.get(pk=user.pk)


def permission(name: str) -> Permission:
    app, _, codename = name.partition(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


@pytest.fixture
def editor() -> User:
    """A user who may change gatherings, and nothing else."""
    user = make_user("editor")
    user.user_permissions.add(permission(CHANGE))
    return fresh(user)


@pytest.fixture
def boss() -> User:
    """A superuser."""
    return User.objects.create_superuser("boss")


@pytest.fixture
def host() -> User:
    """A user with a profile."""
    user = make_user("host")
    Profile.objects.create(user=user)
    return user


@pytest.fixture
def gathering(host: User) -> Gathering:
    """Something whose host is a profile, and whose manager is a user."""
    return Gathering.objects.create(
        host=host.profile, manager=host, created_by=str(host.pk), seats=host.pk
    )


NOBODIES = [
    None,
    AnonymousUser(),
    User(pk=1, is_active=False, is_superuser=True),
    "editor",
    SimpleNamespace(),
]


class TestPermissions:
    """`check_user_permission` and `require_permission`."""

    def test_with_and_without_an_object(self, editor: User, gathering: Gathering) -> None:
        """The permission for the model counts for each of its objects, with Django's backend."""
        assert PermissionChecker.check_user_permission(editor, CHANGE, gathering) is True
        assert PermissionChecker.check_user_permission(editor, CHANGE) is True
        assert PermissionChecker.check_user_permission(editor, DELETE, gathering) is False
        assert PermissionChecker.check_user_permission(editor, DELETE) is False

    def test_required(self, editor: User, gathering: Gathering) -> None:
        """Who lacks a permission is told which; who has it passes quietly."""
        PermissionChecker.require_permission(editor, CHANGE, gathering)
        with pytest.raises(AuthorizationError) as caught:
            PermissionChecker.require_permission(editor, DELETE, gathering)
        assert caught.value.to_dict() == {
            "success": False,
            "error": "You are not allowed to do this.",
            "error_code": "PERMISSION_DENIED",
            "details": {"permission": DELETE},
        }

    @pytest.mark.parametrize("user", NOBODIES, ids=repr)
    def test_nobody_may_do_anything(self, user: Any) -> None:
        """Anonymous and inactive users, superusers among them, and what is no user have nothing."""
        assert PermissionChecker.check_user_permission(user, CHANGE) is False
        with pytest.raises(AuthorizationError):
            PermissionChecker.require_permission(user, CHANGE)

    def test_a_class_is_nobody(self, gathering: Gathering) -> None:
        """The class of users, whose attributes are all true, is no user; nor are methods flags."""

        class Stale:
            pk = 1

            def is_authenticated(self) -> bool:
                return False

            is_active = is_superuser = has_perm = is_authenticated

        for user in (User, Stale()):
            assert PermissionChecker.check_user_permission(user, CHANGE) is False
            assert PermissionChecker.check_ownership(user, gathering, "host") is False
            assert RoleBasedPermission.roles_of(user) == ()

    def test_a_long_tenant_is_no_obstacle(self, editor: User) -> None:
        """Who asks gets an answer, whatever the id of the current tenant looks like."""
        with event_context(actor=editor, tenant="x" * 100):
            assert PermissionChecker.check_user_permission(editor, CHANGE) is True

    def test_superusers(self, boss: User) -> None:
        """A superuser may do everything, also what nobody has heard of."""
        assert PermissionChecker.check_user_permission(boss, "no.such_thing", object()) is True

    def test_a_backend_for_objects(self, gathering: Gathering) -> None:
        """A permission that a backend grants for one object is enough."""
        user = make_user("guest")
        with override_settings(AUTHENTICATION_BACKENDS=[f"{__name__}.ObjectBackend"]):
            ObjectBackend.granted = gathering
            assert PermissionChecker.check_user_permission(user, DELETE, gathering) is True
            assert PermissionChecker.check_user_permission(user, DELETE, Gathering()) is False
            assert PermissionChecker.check_user_permission(user, DELETE) is False

    def test_by_role(self) -> None:
        """A role has the permissions of the groups below it, and not of those above."""
        Group.objects.create(name="user").permissions.add(permission(CHANGE))
        moderator, guest = make_user("m", "moderator"), make_user("g", "guest")
        assert PermissionChecker.check_user_permission(moderator, CHANGE) is True
        assert PermissionChecker.check_user_permission(guest, CHANGE) is False

    def test_queries_are_bounded_and_kept(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        """A user object asks the database four times, however many questions follow."""
        user = make_user("m", "moderator", "user", "another")
        with django_assert_num_queries(4):
            assert not PermissionChecker.check_user_permission(user, CHANGE)
        with django_assert_num_queries(0):
            for name in (CHANGE, DELETE, "x.y"):
                assert not PermissionChecker.check_user_permission(user, name, object())
            assert RoleBasedPermission.has_role(user, "moderator")

    @pytest.mark.parametrize("name", ["", None, 7, ["a.b"]])
    def test_a_permission_is_a_text(self, editor: User, name: Any) -> None:
        """A permission that cannot be one is a mistake of the programmer, not a no."""
        with pytest.raises(TypeError, match="perm must be a non-empty text"):
            PermissionChecker.check_user_permission(editor, name)

    def test_the_user_of_a_request(self, editor: User) -> None:
        """The lazy user that Django's middleware sets is as good as the user."""
        lazy = SimpleLazyObject(lambda: editor)
        assert PermissionChecker.check_user_permission(lazy, CHANGE) is True

    def test_awaited(self, editor: User) -> None:
        """Async code has the same questions."""

        async def ask() -> list[bool]:
            await PermissionChecker.arequire_permission(editor, CHANGE)
            await PermissionChecker.arequire_ownership(editor, {"x": 1}, "user")
            return [await PermissionChecker.acheck_user_permission(editor, DELETE)]

        with pytest.raises(AuthorizationError) as caught:
            async_to_sync(ask)()
        assert caught.value.code == "NOT_OWNER"
        assert async_to_sync(PermissionChecker.acheck_ownership)(editor, {}, "user") is False
        assert async_to_sync(PermissionChecker.acheck_user_permission)(editor, CHANGE) is True
        assert async_to_sync(RoleBasedPermission.ahas_role)(editor, "user") is False


class ObjectBackend:
    """Grants everything for one object."""

    granted: Any = None

    def has_perm(self, user: Any, perm: str, obj: Any = None) -> bool:
        return obj is not None and obj is self.granted


class TestOwnership:
    """`check_ownership` and `require_ownership`."""

    @pytest.mark.parametrize(
        "path", ["host", "host_id", "host__user", "manager", "manager_id", "created_by"]
    )
    def test_ways_to_own(self, host: User, gathering: Gathering, path: str) -> None:
        """An owner field holds the user, the profile, a path to either, or the user's key."""
        found = Gathering.objects.get(pk=gathering.pk)
        assert PermissionChecker.check_ownership(host, found, owner_field=path) is True
        other = make_user("other")
        Profile.objects.create(user=other)
        assert PermissionChecker.check_ownership(other, found, owner_field=path) is False
        with pytest.raises(AuthorizationError) as caught:
            PermissionChecker.require_ownership(other, found, owner_field=path)
        assert (caught.value.status_code, caught.value.code) == (403, "NOT_OWNER")
        PermissionChecker.require_ownership(host, found, owner_field=path)

    def test_a_path_over_relations(self, host: User, gathering: Gathering) -> None:
        """`event__host` follows the relations of an object."""
        invitation = Invitation.objects.create(event=gathering)
        assert PermissionChecker.check_ownership(host, invitation, owner_field="event__host")
        assert PermissionChecker.check_ownership(host, invitation, "event__host__user")

    def test_the_key_of_a_profile_is_not_the_key_of_a_user(self, host: User) -> None:
        """A column that points to a profile is not compared with the keys of users."""
        profile = Profile.objects.get(user=host)
        namesake = make_user("namesake")
        User.objects.filter(pk=namesake.pk).update(id=profile.pk + 1000)
        Profile.objects.filter(pk=profile.pk).update(id=profile.pk + 1000)
        namesake = User.objects.get(username="namesake")
        event = Gathering.objects.create(host_id=namesake.pk)
        assert event.host_id == namesake.pk
        assert PermissionChecker.check_ownership(namesake, event, "host_id") is False
        assert PermissionChecker.check_ownership(fresh(host), event, "host_id") is True

    @pytest.mark.parametrize(
        "path", ["seats", "nothing", "host__nothing", "host__user__nothing", "manager__profile__x"]
    )
    def test_what_is_missing_belongs_to_nobody(self, gathering: Gathering, path: str) -> None:
        """A missing attribute, a missing row and a plain number are nobody's."""
        user = User.objects.create(pk=gathering.seats + 1, username="next")
        for event in (gathering, Gathering.objects.create(), Gathering(seats=user.pk), None, 7):
            assert PermissionChecker.check_ownership(user, event, path) is False

    def test_the_default_field(self, host: User) -> None:
        """Without a field the owner is `user`."""
        assert PermissionChecker.check_ownership(host, host.profile) is True

    def test_superusers_and_nobodies(self, boss: User, gathering: Gathering) -> None:
        """A superuser owns everything; anonymous and inactive users not even their own."""
        assert PermissionChecker.check_ownership(boss, gathering, "host") is True
        gathering.manager.is_active = False
        assert PermissionChecker.check_ownership(gathering.manager, gathering, "manager") is False
        for user in NOBODIES:
            assert PermissionChecker.check_ownership(user, gathering, "host") is False

    def test_unsaved_users_do_not_own_what_is_unowned(self) -> None:
        """Two things that were never saved have no key in common."""
        user = User(username="new")
        assert (
            PermissionChecker.check_ownership(user, Gathering(manager=User()), "manager") is False
        )
        assert (
            PermissionChecker.check_ownership(user, Gathering(created_by="None"), "created_by")
            is False
        )

    def test_keys_that_are_uuids(self) -> None:
        """A UUID and its text are the same key."""
        key = uuid4()
        user = SimpleNamespace(pk=key, is_active=True, is_authenticated=True)
        for value in (key, str(key)):
            assert PermissionChecker.check_ownership(user, SimpleNamespace(user=value)) is True
        assert PermissionChecker.check_ownership(user, SimpleNamespace(user=uuid4())) is False

    def test_objects_without_models(self) -> None:
        """The profile of the user counts for any kind of object."""
        profile = object()
        user = SimpleNamespace(pk=1, is_active=True, is_authenticated=True, profile=profile)
        assert (
            PermissionChecker.check_ownership(user, SimpleNamespace(host=profile), "host") is True
        )

    @pytest.mark.parametrize("path", ["", None, 7])
    def test_a_field_is_a_text(self, host: User, path: Any) -> None:
        """A field that cannot be one is named."""
        with pytest.raises(TypeError, match="owner_field must be a non-empty text"):
            PermissionChecker.check_ownership(host, host, path)


class TestRoles:
    """`RoleBasedPermission`."""

    def test_the_order(self) -> None:
        """A role has all that those below it have."""
        assert RoleBasedPermission.all_roles() == ("admin", "moderator", "user", "guest")
        moderator = make_user("m", "moderator")
        assert RoleBasedPermission.roles_of(moderator) == ("moderator", "user", "guest")
        assert not RoleBasedPermission.has_role(moderator, "admin")
        RoleBasedPermission.require_role(moderator, "guest")
        with pytest.raises(AuthorizationError, match="not allowed"):
            RoleBasedPermission.require_role(moderator, "admin")

    def test_who_has_no_role(self, boss: User) -> None:
        """Without a group there is no role; a superuser has them all, a nobody none."""
        assert RoleBasedPermission.roles_of(make_user("x", "another")) == ()
        assert RoleBasedPermission.has_role(boss, "admin")
        for user in NOBODIES:
            assert RoleBasedPermission.roles_of(user) == ()

    @override_settings(PERMISSION_ROLES=["owner", "admin", "editor", "guest"])
    def test_a_project_has_roles_of_its_own(self) -> None:
        """`PERMISSION_ROLES` replaces the list, highest first."""
        owner, editor = make_user("o", "owner"), make_user("e", "editor", "moderator")
        assert RoleBasedPermission.has_role(owner, "admin")
        assert RoleBasedPermission.roles_of(editor) == ("editor", "guest")
        with pytest.raises(ValidationError, match="known are owner, admin, editor, guest"):
            RoleBasedPermission.has_role(editor, "moderator")

    @pytest.mark.parametrize("roles", ["admin", [], ["a", "a"], ["a", ""], [1], {"admin": 1}])
    def test_a_bad_setting_is_named(self, roles: Any) -> None:
        """What is no list of names is refused with the name of the setting."""
        with (
            override_settings(PERMISSION_ROLES=roles),
            pytest.raises(ConfigurationError, match="PERMISSION_ROLES"),
        ):
            RoleBasedPermission.all_roles()

    def test_a_bad_setting_is_found_by_check(self) -> None:
        """`manage.py check` names the setting before anybody asks for a role."""
        assert "core.E002" not in [each.id for each in run_checks(tags=["signalbox"])]
        with override_settings(PERMISSION_ROLES="admin"):
            findings = run_checks(tags=["signalbox"])
        (finding,) = [each for each in findings if each.id == "core.E002"]
        assert "PERMISSION_ROLES must be a list of names, got 'admin'" in finding.msg

    @pytest.mark.parametrize("role", ["root", "Admin", "", None, 7])
    def test_an_unknown_role(self, boss: User, role: Any) -> None:
        """A role that does not exist is not held by anyone, and said to be unknown."""
        for ask in (RoleBasedPermission.has_role, RoleBasedPermission.require_role):
            with pytest.raises(ValidationError, match="known are admin, moderator, user, guest"):
                ask(boss, role)


class TestRolesOfTheTenant:
    """The tenant context of a request brings roles for its user."""

    @pytest.fixture(autouse=True)
    def _no_tenant_afterwards(self) -> Iterator[None]:
        with set_current_tenant(None):
            yield

    def test_they_add_to_the_groups(self) -> None:
        """Within the tenant the user has the higher of both."""
        user = make_user("u", "user")
        with set_current_tenant(TenantContext("t1", user.pk, ["moderator", "unheard-of"])):
            assert RoleBasedPermission.roles_of(user) == ("moderator", "user", "guest")
        assert RoleBasedPermission.roles_of(user) == ("user", "guest")

    def test_they_bring_the_permissions_of_their_groups(self) -> None:
        """A role of the context gives what the group of this name may, while it lasts."""
        Group.objects.create(name="moderator").permissions.add(permission(CHANGE))
        user = make_user("u")
        with set_current_tenant(TenantContext("t1", user.pk, ["admin"])):
            assert PermissionChecker.check_user_permission(user, CHANGE) is True
        assert PermissionChecker.check_user_permission(user, CHANGE) is False

    def test_they_are_the_roles_of_one_user(self) -> None:
        """Somebody else, and a context without a user, lend nobody their roles."""
        user = make_user("u")
        for other in (user.pk + 1, None):
            with set_current_tenant(TenantContext("t1", other, ["admin"])):
                assert RoleBasedPermission.roles_of(user) == ()

    def test_inactive_users_have_none(self) -> None:
        """A context does not make an inactive user active."""
        user = make_user("u", is_active=False)
        with set_current_tenant(TenantContext("t1", user.pk, ["admin"])):
            assert RoleBasedPermission.roles_of(user) == ()


class TestRestFramework:
    """Roles as permission classes of views."""

    def status(self, user: User, *classes: Any, **attributes: Any) -> int:
        class View(APIView):
            permission_classes = classes

            def get(self, request: Any) -> Response:
                self.check_object_permissions(request, object())
                return Response()

        for name, value in attributes.items():
            setattr(View, name, value)
        request = APIRequestFactory().get("/")
        force_authenticate(request, user)
        return int(View.as_view()(request).status_code)

    def test_at_least(self) -> None:
        """A view lets in who has the role or a higher one."""
        needed = RoleBasedPermission.at_least("moderator")
        assert self.status(make_user("a", "admin"), needed) == 200
        assert self.status(make_user("u", "user"), needed) == 403

    def test_named_by_the_view(self) -> None:
        """The bare class reads the view; a view that names no role is a mistake."""
        user = make_user("u", "user")
        assert self.status(user, RoleBasedPermission, required_role="guest") == 200
        assert self.status(user, RoleBasedPermission, required_role="admin") == 403
        with pytest.raises(ImproperlyConfigured, match="View needs a required_role"):
            self.status(user, RoleBasedPermission)

    def test_combined(self) -> None:
        """Roles combine with the permission classes of REST framework."""
        needed = RoleBasedPermission.at_least("admin")
        user = make_user("u", "user")
        assert self.status(user, needed | IsAuthenticated) == 200
        assert self.status(user, IsAuthenticated & needed) == 403
        assert self.status(user, AllowAny, needed) == 403

    def test_an_unknown_role(self) -> None:
        """A misspelt role is found when the view is defined."""
        with pytest.raises(ValidationError, match="'moderater' is not a role"):
            RoleBasedPermission.at_least("moderater")
