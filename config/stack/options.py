"""The environment variables that only the stack reads; every one is listed in `.env.example`."""

from dataclasses import dataclass
from pathlib import Path

from config.settings.environment import Environment, local_secret


@dataclass(frozen=True)
class Options:
    """Addresses, sizes and the password of Flower."""

    web_port: int
    web_threads: int
    flower_port: int
    flower_auth: str
    workers: int
    concurrency: int

    @classmethod
    def read(cls, env: Environment, var: Path) -> "Options":
        """Read the variables; Flower gets a password of its own, kept in `var`, by default."""
        return cls(
            web_port=env.integer("WEB_PORT", 8000),
            web_threads=env.integer("WEB_THREADS", 4, minimum=1),
            flower_port=env.integer("FLOWER_PORT", 5555),
            flower_auth=env.text("FLOWER_BASIC_AUTH") or _own_password(var),
            workers=env.integer("STACK_WORKERS", 1),
            concurrency=env.integer("CELERY_WORKER_CONCURRENCY", 2, minimum=1),
        )


def _own_password(var: Path) -> str:
    return f"signalbox:{local_secret(var / 'flower_password', size=12)}"
