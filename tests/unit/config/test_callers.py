"""Proxies and the place of rate limits come from the environment, and mistakes are named."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import CheckMessage

from config.checks import check_proxies
from config.settings.environment import BASE_DIR


def test_a_bad_proxy_and_a_bad_address_are_named() -> None:
    """`manage.py check` fails and names both variables and what they may be."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={
            "PATH": os.environ["PATH"],
            "ENV_FILE": os.devnull,
            "TRUSTED_PROXIES": "10.0.0.0/8, proxy.local",
            "RATE_LIMIT_REDIS_URL": "http://127.0.0.1",
        },
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "TRUSTED_PROXIES: (config.E001) 'proxy.local' is no address" in done.stderr
    assert "RATE_LIMIT_REDIS_URL: (config.E001) is not a usable URL" in done.stderr


@pytest.mark.parametrize(
    ("header", "proxies", "ids"),
    [
        (None, [], []),
        (("HTTP_X_FORWARDED_PROTO", "https"), ["10.0.0.0/8"], []),
        (("HTTP_X_FORWARDED_PROTO", "https"), [], ["config.W004"]),
    ],
)
def test_a_proxy_without_its_address(
    settings: Any, header: Any, proxies: list[str], ids: list[str]
) -> None:
    """Behind a proxy whose address is not known, clients could choose theirs."""
    settings.SECURE_PROXY_SSL_HEADER = header
    settings.TRUSTED_PROXIES = proxies
    messages: list[CheckMessage] = check_proxies()
    assert [message.id for message in messages] == ids
