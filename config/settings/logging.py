"""Logging: one line of text per record on standard error, in every process."""

__all__ = ["LOGGING"]

from .environment import env

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", LEVELS)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": "%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s",
            "datefmt": "%Y-%m-%dT%H:%M:%S",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Django gives its own logger handlers of its own; the one at the root is enough.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        # One line per second saying that the sweep was sent, and one that it was received; the
        # worker's line that it is done, with its result, is enough.
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
