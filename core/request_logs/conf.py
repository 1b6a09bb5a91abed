"""What request logs read from the settings."""

from __future__ import annotations

from django.conf import settings

# In place of all sinks: whoever serves a request writes its line.
NONE = "none"


class RequestLogSettings:
    """Typed access to the settings of request logs."""

    @property
    def sinks(self) -> tuple[str, ...]:
        """Where workers write them; without any, who serves a request writes a line of the log."""
        names = tuple(getattr(settings, "REQUEST_LOG_SINKS", ()))
        return () if names == (NONE,) else names

    @property
    def excluded(self) -> tuple[str, ...]:
        """The beginnings of paths that are not logged."""
        return tuple(getattr(settings, "REQUEST_LOG_EXCLUDED_PATHS", ()))

    @property
    def client_address(self) -> bool:
        """Whether the address of the client, which is personal data, is kept."""
        return bool(getattr(settings, "REQUEST_LOG_CLIENT_ADDRESS", False))

    @property
    def buffer(self) -> int:
        """How many records wait in a process at most."""
        return int(getattr(settings, "REQUEST_LOG_BUFFER", 10_000))

    @property
    def retention_days(self) -> int:
        """For how many days the table keeps them; 0 keeps them for ever."""
        return int(getattr(settings, "REQUEST_LOG_RETENTION_DAYS", 30))

    @property
    def file(self) -> str:
        """The file of the sink "file"."""
        return str(getattr(settings, "REQUEST_LOG_FILE", "requests.jsonl"))

    @property
    def file_bytes(self) -> int:
        """The size at which that file is rotated."""
        return int(getattr(settings, "REQUEST_LOG_FILE_BYTES", 100 * 1024 * 1024))

    @property
    def file_backups(self) -> int:
        """How many rotated files are kept."""
        return int(getattr(settings, "REQUEST_LOG_FILE_BACKUPS", 5))


conf = RequestLogSettings()
