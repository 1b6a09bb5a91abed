"""What an installation is made of, as values: checked, printable, and turned into settings."""

from core.config_classes.cache import CacheConfig
from core.config_classes.database import DatabaseConfig
from core.config_classes.security import SecurityConfig

__all__ = ["CacheConfig", "DatabaseConfig", "SecurityConfig"]
