"""The ASGI application leaves no database connections behind."""

import os
import subprocess
import sys

import pytest

from config.settings.environment import BASE_DIR

_PRINT = """
import config.{server}
from django.db import connection
print(connection.settings_dict["CONN_MAX_AGE"])
"""


@pytest.mark.parametrize(("server", "seconds"), [("asgi", "0"), ("wsgi", "60")])
def test_how_long_a_thread_keeps_its_connection(server: str, seconds: str) -> None:
    """No longer than a request where threads end with it, whatever the environment says."""
    found = subprocess.run(
        [sys.executable, "-c", _PRINT.format(server=server)],
        env={
            "PATH": os.environ["PATH"],
            "ENV_FILE": os.devnull,
            "DATABASE_URL": "postgresql://somebody@localhost/nowhere",
            "DATABASE_CONN_MAX_AGE": "60",
            "DEBUG": "on",
        },
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [seconds]
