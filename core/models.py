"""The models of the foundation: the platform fee; and the base models, for import from here."""

from core.base_models import BaseModel, DBBaseModel, SoftDeleteModel, TimeStampedModel
from core.fee.config import PlatformFeeConfig
from core.fee.history import PlatformFeeChange
from core.managers import SoftDeleteManager, SoftDeleteQuerySet

__all__ = [
    "BaseModel",
    "DBBaseModel",
    "PlatformFeeChange",
    "PlatformFeeConfig",
    "SoftDeleteManager",
    "SoftDeleteModel",
    "SoftDeleteQuerySet",
    "TimeStampedModel",
]
