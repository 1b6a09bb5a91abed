"""A process is called by what its command line starts."""

from __future__ import annotations

import pytest

from core.logs import service_name


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("granian --interface wsgi config.wsgi:application", "web"),
        ("/venv/lib/granian/__main__.py config.wsgi:application", "web"),
        ("/usr/bin/uvicorn config.asgi:application", "web"),
        ("manage.py runserver 8000", "web"),
        ("manage.py shell", "shell"),
        ("./manage.py shell_plus", "shell"),
        ("manage.py migrate --no-input", "migrate"),
        ("manage.py --help", "manage"),
        ("/venv/bin/celery -A config.celery worker --loglevel INFO", "worker"),
        ("/venv/lib/celery/__main__.py -A beat worker -B", "worker"),
        ("celery --app=config.celery --workdir /srv beat", "beat"),
        ("celery -A config.celery flower", "flower"),
        ("celery --help", "celery"),
        ("/venv/bin/pytest -q", "pytest"),
        ("-c", "python"),
        ("", "python"),
    ],
)
def test_the_name_of_a_process(command: str, service: str) -> None:
    """Servers are web, Celery's processes are what they are, other commands go by their name."""
    assert service_name(command.split()) == service
