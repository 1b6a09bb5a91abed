"""Request logs: where workers write them, and for how long they are kept."""

__all__ = [
    "REQUEST_LOG_BUFFER",
    "REQUEST_LOG_CLIENT_ADDRESS",
    "REQUEST_LOG_EXCLUDED_PATHS",
    "REQUEST_LOG_FILE",
    "REQUEST_LOG_FILE_BACKUPS",
    "REQUEST_LOG_FILE_BYTES",
    "REQUEST_LOG_RETENTION_DAYS",
    "REQUEST_LOG_SINKS",
]

from .environment import VAR_DIR, env
from .events import EVENTS_MODE

# table, file, logger; or none: then the web process writes the line itself. So it does where there
# are no workers.
REQUEST_LOG_SINKS = env.words("REQUEST_LOG_SINKS", ["table" if EVENTS_MODE == "celery" else "none"])
REQUEST_LOG_EXCLUDED_PATHS = env.words("REQUEST_LOG_EXCLUDED_PATHS", ["/health/"])
REQUEST_LOG_CLIENT_ADDRESS = env.flag("REQUEST_LOG_CLIENT_ADDRESS", False)
REQUEST_LOG_BUFFER = env.integer("REQUEST_LOG_BUFFER", 10_000, minimum=1)
REQUEST_LOG_RETENTION_DAYS = env.integer("REQUEST_LOG_RETENTION_DAYS", 30)
REQUEST_LOG_FILE = env.text("REQUEST_LOG_FILE", str(VAR_DIR / "log" / "requests.jsonl"))
REQUEST_LOG_FILE_BYTES = env.integer("REQUEST_LOG_FILE_BYTES", 100 * 1024 * 1024, minimum=1024)
REQUEST_LOG_FILE_BACKUPS = env.integer("REQUEST_LOG_FILE_BACKUPS", 5, minimum=1)
