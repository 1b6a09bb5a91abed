"""The foundation: it knows no domain app and no worker.

The names below load on first use, since an installed app may not import models while it loads.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "core.base_models": ["BaseModel", "DBBaseModel", "SoftDeleteModel", "TimeStampedModel"],
    "core.context": ["current_context", "event_context"],
    "core.exceptions": [
        "AlreadyExistsError",
        "AuthenticationError",
        "AuthorizationError",
        "BusinessRuleError",
        "DatabaseError",
        "DotMacError",
        "NotFoundError",
        "ServiceError",
        "TenantError",
        "ValidationError",
    ],
    "core.model_mixins": [
        "SoftDeleteMixin",
        "TableNamingMixin",
        "TimestampMixin",
        "UUIDMixin",
        "UUIDPrimaryKeyMixin",
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'core' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
