"""The database: PostgreSQL by `DATABASE_URL`, otherwise SQLite in `VAR_DIR`."""

__all__ = ["DATABASES"]

from core.config_classes import DatabaseConfig
from core.db_utils import get_database_config

from .environment import VAR_DIR, env

DATABASES = {
    "default": get_database_config(env, default=DatabaseConfig.in_file(VAR_DIR / "db.sqlite3"))
}

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    VAR_DIR.mkdir(parents=True, exist_ok=True)
