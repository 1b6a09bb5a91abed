"""The foundation: it knows no domain app and no worker.

The names below load on first use, since an installed app may not import models while it loads.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from core.base_models import BaseModel as BaseModel
    from core.base_models import DBBaseModel as DBBaseModel
    from core.base_models import PydanticBaseModel as PydanticBaseModel
    from core.base_models import SoftDeleteModel as SoftDeleteModel
    from core.base_models import TenantBaseModel as TenantBaseModel
    from core.base_models import TimeStampedModel as TimeStampedModel
    from core.config_classes import CacheConfig as CacheConfig
    from core.config_classes import DatabaseConfig as DatabaseConfig
    from core.config_classes import SecurityConfig as SecurityConfig
    from core.constraints import UniqueActiveConstraint as UniqueActiveConstraint
    from core.context import current_context as current_context
    from core.context import event_context as event_context
    from core.decorators import retry_on_failure as retry_on_failure
    from core.decorators import standard_exception_handler as standard_exception_handler
    from core.decorators import timeout as timeout
    from core.exceptions import AlreadyExistsError as AlreadyExistsError
    from core.exceptions import AuthenticationError as AuthenticationError
    from core.exceptions import AuthorizationError as AuthorizationError
    from core.exceptions import BusinessRuleError as BusinessRuleError
    from core.exceptions import DatabaseError as DatabaseError
    from core.exceptions import DotMacError as DotMacError
    from core.exceptions import NotFoundError as NotFoundError
    from core.exceptions import ServiceError as ServiceError
    from core.exceptions import TenantError as TenantError
    from core.exceptions import ValidationError as ValidationError
    from core.guards import is_database_available as is_database_available
    from core.guards import is_schemas_available as is_schemas_available
    from core.guards import require_database as require_database
    from core.guards import require_schemas as require_schemas
    from core.model_mixins import AuditMixin as AuditMixin
    from core.model_mixins import MetadataMixin as MetadataMixin
    from core.model_mixins import OrderableMixin as OrderableMixin
    from core.model_mixins import SlugMixin as SlugMixin
    from core.model_mixins import SoftDeleteMixin as SoftDeleteMixin
    from core.model_mixins import TableNamingMixin as TableNamingMixin
    from core.model_mixins import TenantMixin as TenantMixin
    from core.model_mixins import TimestampMixin as TimestampMixin
    from core.model_mixins import UUIDMixin as UUIDMixin
    from core.model_mixins import UUIDPrimaryKeyMixin as UUIDPrimaryKeyMixin
    from core.repositories import AsyncRepository as AsyncRepository
    from core.repositories import BaseRepository as BaseRepository
    from core.tenancy import TenantContext as TenantContext
    from core.tenancy import get_current_tenant as get_current_tenant
    from core.tenancy import require_current_tenant as require_current_tenant
    from core.tenancy import set_current_tenant as set_current_tenant
    from core.transactions import TransactionManager as TransactionManager

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
    "core.constraints": ["UniqueActiveConstraint"],
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
