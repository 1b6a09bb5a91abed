"""Logging: one line per record, in one format, of every process; see `core.logs`."""

__all__ = ["LOGGING", "LOG_SLOW_QUERIES_MS"]

import sys

from core.logs import logging_config, service_name

from .environment import env

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

# Milliseconds from which a statement is logged, without its parameters; 0: none is.
LOG_SLOW_QUERIES_MS = env.integer("LOG_SLOW_QUERIES_MS", 0)

LOGGING = logging_config(
    service=env.text("LOG_SERVICE") or service_name(sys.argv),
    level=env.choice("LOG_LEVEL", "INFO", LEVELS),
    format=env.choice("LOG_FORMAT", "text", ["text", "json"]),
    file=env.text("LOG_FILE") or None,
    file_bytes=env.integer("LOG_FILE_BYTES", 50_000_000, minimum=10_000),
    file_backups=env.integer("LOG_FILE_BACKUPS", 5, minimum=1),
    handlers={path: {"class": path} for path in env.words("LOG_HANDLERS")},
)
