"""Who may do what: permissions, ownership and roles, on top of Django's permission system.

Every answer is no for nobody, for anonymous and for inactive users, and yes for superusers.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ObjectDoesNotExist
from django.db.models import Field, Model

from core.exceptions import AuthorizationError
from core.roles import (
    all_roles,
    is_active,
    is_marked,
    permissions_of_roles,
    require_known,
    roles_of,
)

__all__ = ["PermissionChecker", "RoleBasedPermission"]

_NOBODY = object()


class PermissionChecker:
    """Asks (`check_...` returns a bool) and insists (`require_...` raises `AuthorizationError`)."""

    @staticmethod
    def check_user_permission(user: Any, perm: str, obj: Any = None) -> bool:
        """Tell whether the user has `perm` ("app.codename"): for `obj`, for the model, or by role.

        Django's stock backend knows no permissions of single objects, so the permission for the
        whole model counts for each object too. At most four queries per user object.
        """
        _require_text("perm", perm)
        if not is_active(user):
            return False
        return bool(
            (obj is not None and user.has_perm(perm, obj))
            or user.has_perm(perm)
            or perm in permissions_of_roles(user)
        )

    @staticmethod
    def require_permission(user: Any, perm: str, obj: Any = None) -> None:
        """Raise AuthorizationError unless the user has `perm`; see `check_user_permission`."""
        if not PermissionChecker.check_user_permission(user, perm, obj):
            raise AuthorizationError(details={"permission": perm})

    @staticmethod
    def check_ownership(user: Any, obj: Any, owner_field: str = "user") -> bool:
        """Tell whether `owner_field` of `obj` holds the user, the user's profile, or the user's id.

        The field may be a path such as "event__host". The profile is `user.profile`. An id counts
        as text or UUID, as in `created_by` of `AuditMixin`; a number does not, since it may be the
        key of anything. What is missing on the way belongs to nobody.
        """
        _require_text("owner_field", owner_field)
        if not is_active(user):
            return False
        if is_marked(user, "is_superuser"):
            return True
        owner = _follow(obj, owner_field)
        if owner is None:
            return False
        if isinstance(owner, str | UUID):
            return user.pk is not None and str(owner) == str(user.pk)
        return bool(owner == user or owner == getattr(user, "profile", _NOBODY))

    @staticmethod
    def require_ownership(user: Any, obj: Any, owner_field: str = "user") -> None:
        """Raise AuthorizationError unless the user owns `obj`; see `check_ownership`."""
        if not PermissionChecker.check_ownership(user, obj, owner_field):
            raise AuthorizationError("This belongs to somebody else.", code="NOT_OWNER")

    @staticmethod
    async def acheck_user_permission(user: Any, perm: str, obj: Any = None) -> bool:
        """Do as `check_user_permission`, awaited."""
        return await sync_to_async(PermissionChecker.check_user_permission)(user, perm, obj)

    @staticmethod
    async def arequire_permission(user: Any, perm: str, obj: Any = None) -> None:
        """Do as `require_permission`, awaited."""
        await sync_to_async(PermissionChecker.require_permission)(user, perm, obj)

    @staticmethod
    async def acheck_ownership(user: Any, obj: Any, owner_field: str = "user") -> bool:
        """Do as `check_ownership`, awaited."""
        return await sync_to_async(PermissionChecker.check_ownership)(user, obj, owner_field)

    @staticmethod
    async def arequire_ownership(user: Any, obj: Any, owner_field: str = "user") -> None:
        """Do as `require_ownership`, awaited."""
        await sync_to_async(PermissionChecker.require_ownership)(user, obj, owner_field)


class RoleBasedPermission:
    """Ordered roles: admin, moderator, user, guest; a role has all that those below it have.

    Roles are Django groups of these names. `PERMISSION_ROLES` replaces the list, highest first. As
    a permission class of REST framework, `RoleBasedPermission.at_least("moderator")` lets in who
    has that role or a higher one; the bare class reads `required_role` of the view.
    """

    required_role: ClassVar[str | None] = None

    @classmethod
    def at_least(cls, role: str) -> type[RoleBasedPermission]:
        """Return a permission class that asks for this role. Raises ValidationError if unknown."""
        required = require_known(role)
        return type(f"AtLeast{required.title()}", (cls,), {"required_role": required})

    @staticmethod
    def all_roles() -> tuple[str, ...]:
        """Return the names of the roles, the highest first."""
        return all_roles()

    @staticmethod
    def roles_of(user: Any) -> tuple[str, ...]:
        """Return the roles that the user has, with those below them, the highest first."""
        return roles_of(user)

    @staticmethod
    def has_role(user: Any, role: str) -> bool:
        """Tell whether the user has this role, or a higher one.

        Raises ValidationError, naming the known ones, for an unknown role.
        """
        return require_known(role) in roles_of(user)

    @staticmethod
    def require_role(user: Any, role: str) -> None:
        """Raise AuthorizationError unless the user has this role or a higher one."""
        if not RoleBasedPermission.has_role(user, role):
            raise AuthorizationError(details={"role": role})

    @staticmethod
    async def ahas_role(user: Any, role: str) -> bool:
        """Do as `has_role`, awaited."""
        return await sync_to_async(RoleBasedPermission.has_role)(user, role)

    def has_permission(self, request: Any, view: Any) -> bool:
        """Answer REST framework for a request."""
        role = self.required_role or getattr(view, "required_role", None)
        if role is None:
            raise ImproperlyConfigured(
                f"{type(view).__name__} needs a required_role, or RoleBasedPermission.at_least(...)"
            )
        return self.has_role(request.user, role)

    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        """Answer REST framework for an object: a role is the same for all of them."""
        return self.has_permission(request, view)


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a non-empty text, got {value!r}")


def _follow(obj: Any, path: str) -> Any:
    """Return what stands at the end of the path; None where something on the way is missing."""
    for name in path.split("__"):
        try:
            obj = getattr(obj, _relation(obj, name))
        except (AttributeError, ObjectDoesNotExist):
            return None
    return obj


def _relation(obj: Any, name: str) -> str:
    # The column "host_id" of a relation is the key of whatever it points to, a profile perhaps:
    # only the object itself tells whose it is.
    if isinstance(obj, Model):
        try:
            field = obj._meta.get_field(name)
        except FieldDoesNotExist:
            return name
        if isinstance(field, Field) and field.is_relation:
            return field.name
    return name
