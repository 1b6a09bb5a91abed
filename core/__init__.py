"""The foundation: it knows no domain app and no worker.

The names below load on first use, since an installed app may not import models while it loads.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "core.base_models": [
        "BaseModel",
        "DBBaseModel",
        "PydanticBaseModel",
        "SoftDeleteModel",
        "TenantBaseModel",
        "TimeStampedModel",
    ],
    "core.config_classes": ["CacheConfig", "DatabaseConfig", "SecurityConfig"],
    "core.context": ["current_context", "event_context"],
    "core.decorators": ["retry_on_failure", "standard_exception_handler", "timeout"],
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
    "core.guards": [
        "is_database_available",
        "is_schemas_available",
        "require_database",
        "require_schemas",
    ],
    "core.model_mixins": [
        "AuditMixin",
        "MetadataMixin",
        "OrderableMixin",
        "SlugMixin",
        "SoftDeleteMixin",
        "TableNamingMixin",
        "TenantMixin",
        "TimestampMixin",
        "UUIDMixin",
        "UUIDPrimaryKeyMixin",
    ],
    "core.repositories": ["AsyncRepository", "BaseRepository"],
    "core.tenancy": [
        "TenantContext",
        "get_current_tenant",
        "require_current_tenant",
        "set_current_tenant",
    ],
    "core.transactions": ["TransactionManager"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'core' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
