"""SecurityConfig: secrets, hosts and what HTTPS needs, as Django's settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from core.config_classes.checking import is_flag, is_name, is_texts, is_whole, require
from core.environment import Environment

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class SecurityConfig:
    """How the installation protects itself. Raises ConfigurationError for bad values.

    `https` redirects to HTTPS and keeps cookies there; `hsts_seconds` counts only then. Set
    `trust_proxy` only behind a proxy that sets X-Forwarded-Proto itself.
    """

    secret_key: str = field(repr=False)
    debug: bool = False
    allowed_hosts: tuple[str, ...] = LOCAL_HOSTS
    csrf_trusted_origins: tuple[str, ...] = ()
    https: bool = True
    hsts_seconds: int = 3600
    hsts_include_subdomains: bool = False
    hsts_preload: bool = False
    trust_proxy: bool = False

    def __post_init__(self) -> None:
        flags = ("debug", "https", "hsts_include_subdomains", "hsts_preload", "trust_proxy")
        require(
            self,
            {
                "secret_key": (is_name, "a text that nobody can guess"),
                "allowed_hosts": (is_texts, "a tuple of host names"),
                "csrf_trusted_origins": (is_texts, "a tuple of origins"),
                "hsts_seconds": (lambda value: is_whole(value, 0), "at least 0"),
                **dict.fromkeys(flags, (is_flag, "True or False")),
            },
        )

    @classmethod
    def from_environment(
        cls,
        environment: Environment | None = None,
        *,
        development_key: Callable[[], str] = secrets.token_urlsafe,
    ) -> Self:
        """Return what SECRET_KEY, DEBUG, ALLOWED_HOSTS, HTTPS and their kin say.

        A fresh clone sets neither SECRET_KEY nor DEBUG and is a developer's machine, with a key
        from `development_key`. Whoever sets SECRET_KEY deploys, so from then on debug pages must be
        asked for. Raises ConfigurationError for values that cannot be used; a reader that is given
        collects them instead.
        """
        reader = environment or Environment.of_process()
        debug = reader.flag("DEBUG", not reader.is_set("SECRET_KEY"))
        config = cls(
            secret_key=_key(reader, debug, development_key),
            debug=debug,
            # The local names serve health checks inside a container; they give a stranger nothing.
            allowed_hosts=(*reader.words("ALLOWED_HOSTS"), *LOCAL_HOSTS),
            csrf_trusted_origins=tuple(reader.words("CSRF_TRUSTED_ORIGINS")),
            https=reader.flag("HTTPS", not debug),
            hsts_seconds=reader.integer("HSTS_SECONDS", 3600),
            hsts_include_subdomains=reader.flag("HSTS_INCLUDE_SUBDOMAINS", False),
            hsts_preload=reader.flag("HSTS_PRELOAD", False),
            trust_proxy=reader.flag("TRUST_PROXY", False),
        )
        if environment is None:
            reader.require_valid()
        return config

    def to_django(self) -> dict[str, Any]:
        """Return the settings that follow from it, by name."""
        return {
            "SECRET_KEY": self.secret_key,
            "DEBUG": self.debug,
            "ALLOWED_HOSTS": list(self.allowed_hosts),
            "CSRF_TRUSTED_ORIGINS": list(self.csrf_trusted_origins),
            "SECURE_SSL_REDIRECT": self.https,
            "SESSION_COOKIE_SECURE": self.https,
            "SESSION_COOKIE_HTTPONLY": True,
            "CSRF_COOKIE_SECURE": self.https,
            "SECURE_HSTS_SECONDS": self.hsts_seconds if self.https else 0,
            "SECURE_HSTS_INCLUDE_SUBDOMAINS": self.hsts_include_subdomains,
            "SECURE_HSTS_PRELOAD": self.hsts_preload,
            "SECURE_PROXY_SSL_HEADER": (
                ("HTTP_X_FORWARDED_PROTO", "https") if self.trust_proxy else None
            ),
        }


def _key(reader: Environment, debug: bool, development_key: Callable[[], str]) -> str:
    key = reader.text("SECRET_KEY")
    if key or debug:
        return key or development_key()
    reader.report("SECRET_KEY", "must be set when DEBUG is off.", "Set it to 50 random characters.")
    return secrets.token_urlsafe(50)
