"""Logging: one configuration and one line format for web, worker, beat and shell."""

from core.context import bound_fields
from core.logs.configuration import logging_config
from core.logs.lines import parse_line
from core.logs.services import service_name

__all__ = ["bound_fields", "logging_config", "parse_line", "service_name"]
