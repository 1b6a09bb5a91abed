"""Which of the system's processes this one is: web, worker, beat, ..."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_SERVERS = {"granian", "gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve", "uwsgi"}
# Options of the `celery` command that stand before its subcommand and take a value.
_WITH_VALUE = {"-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config"}
_WITH_VALUE |= {"--workdir"}
UNKNOWN = "python"


def service_name(argv: Sequence[str]) -> str:
    """Return what a command line starts: web, worker, beat, flower, shell, a management command.

    A program that is none of those is called by its name.
    """
    if not argv:
        return UNKNOWN
    program = Path(argv[0])
    # `python -m celery`
    name = program.parent.name if program.name == "__main__.py" else program.stem
    arguments = list(argv[1:])
    if name in _SERVERS:
        return "web"
    if name == "celery":
        return _subcommand(arguments) or "celery"
    if name in ("manage", "django-admin", "django"):
        command = next((each for each in arguments if not each.startswith("-")), "manage")
        return {"runserver": "web", "shell_plus": "shell"}.get(command, command)
    return name if name.isidentifier() else UNKNOWN


def _subcommand(arguments: list[str]) -> str | None:
    while arguments:
        first = arguments.pop(0)
        if first in _WITH_VALUE:
            del arguments[:1]
        elif not first.startswith("-"):
            return first
    return None
