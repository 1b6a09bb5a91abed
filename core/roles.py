"""The ordered roles, and which of them somebody has."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings

from core.choices import Role
from core.context import current_context
from core.exceptions import ConfigurationError, ValidationError

_GROUPS = "_signalbox_group_names"
_PERMISSIONS = "_signalbox_role_permissions"


def all_roles() -> tuple[str, ...]:
    """Return the names of the roles, the highest first: `PERMISSION_ROLES`, or those of `Role`.

    Raises ConfigurationError when the setting is not a list of different, non-empty names.
    """
    roles = getattr(settings, "PERMISSION_ROLES", None)
    if roles is None:
        return tuple(Role.values)
    is_list = isinstance(roles, list | tuple) and bool(roles)
    if not is_list or not all(isinstance(role, str) and role for role in roles):
        raise ConfigurationError(f"PERMISSION_ROLES must be a list of names, got {roles!r}")
    if len(set(roles)) < len(roles):
        raise ConfigurationError(f"PERMISSION_ROLES names a role twice: {list(roles)!r}")
    return tuple(str(role) for role in roles)


def require_known(role: str) -> str:
    """Return the name of the role; raise ValidationError, naming the known ones, for another."""
    known = all_roles()
    if not isinstance(role, str) or role not in known:
        raise ValidationError(
            f"{role!r} is not a role; known are {', '.join(known)}", details={"role": role}
        )
    return str(role)


def is_active(user: Any) -> bool:
    """Tell whether this is somebody who is logged in and was not switched off."""
    return is_marked(user, "is_authenticated") and is_marked(user, "is_active")


def is_marked(user: Any, flag: str) -> bool:
    """Tell whether the attribute says so; a class or a method that was not called says nothing."""
    value = getattr(user, flag, False)
    return bool(value) and not callable(value) and not isinstance(user, type)


def roles_of(user: Any) -> tuple[str, ...]:
    """Return every role that the user has, the highest first; none if anonymous or inactive.

    They come from the groups of the same names, from the roles in the tenant context if it is this
    user's, and from being a superuser, who has them all. The groups cost one query per user object.
    """
    if not is_active(user):
        return ()
    known = all_roles()
    if is_marked(user, "is_superuser"):
        return known
    held = _group_names(user) | _context_roles(user)
    for index, role in enumerate(known):
        if role in held:
            return known[index:]
    return ()


def permissions_of_roles(user: Any) -> frozenset[str]:
    """Return "app.codename" of every permission that the groups of the user's roles have.

    One query per user object and highest role.
    """
    roles = roles_of(user)
    if not roles:
        return frozenset()
    cached: dict[tuple[str, ...], frozenset[str]] = _cached(user, _PERMISSIONS, dict)
    if roles not in cached:
        permissions = apps.get_model("auth", "Permission")._default_manager
        found = permissions.filter(group__name__in=roles).order_by()
        names = found.values_list("content_type__app_label", "codename")
        cached[roles] = frozenset(f"{app}.{codename}" for app, codename in names)
    return cached[roles]


def _group_names(user: Any) -> frozenset[str]:
    if not hasattr(user, "groups"):
        return frozenset()
    return frozenset(_cached(user, _GROUPS, lambda: user.groups.values_list("name", flat=True)))


def _context_roles(user: Any) -> frozenset[str]:
    context = current_context()
    # Somebody else's roles say nothing about this user.
    if context.actor_id is None or context.actor_id != str(user.pk):
        return frozenset()
    return frozenset(context.roles)


def _cached(user: Any, name: str, load: Any) -> Any:
    # On the user object, as Django keeps permissions: it lives as long as one request.
    if not hasattr(user, name):
        value = load()
        setattr(user, name, value if isinstance(value, dict) else frozenset(value))
    return getattr(user, name)
