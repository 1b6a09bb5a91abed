"""Secrets, hosts and what HTTPS needs."""

__all__ = [
    "ALLOWED_HOSTS",
    "AUTH_PASSWORD_VALIDATORS",
    "CSRF_COOKIE_SECURE",
    "CSRF_TRUSTED_ORIGINS",
    "DEBUG",
    "SECRET_KEY",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS",
    "SECURE_HSTS_PRELOAD",
    "SECURE_HSTS_SECONDS",
    "SECURE_PROXY_SSL_HEADER",
    "SECURE_REDIRECT_EXEMPT",
    "SECURE_SSL_REDIRECT",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SECURE",
]

import secrets

from .environment import VAR_DIR, env, local_secret

LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

# A fresh clone sets neither variable and is a developer's machine. Whoever sets SECRET_KEY deploys,
# so from then on debug pages must be asked for.
DEBUG = env.flag("DEBUG", not env.is_set("SECRET_KEY"))


def _secret_key() -> str:
    key = env.text("SECRET_KEY")
    if key or DEBUG:
        return key or local_secret(VAR_DIR / "secret_key")
    env.report("SECRET_KEY", "must be set when DEBUG is off.", "Set it to 50 random characters.")
    return secrets.token_urlsafe(50)


SECRET_KEY = _secret_key()

# The local names serve health checks inside a container; they give a stranger nothing.
ALLOWED_HOSTS = [*env.words("ALLOWED_HOSTS"), *LOCAL_HOSTS]
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

HTTPS = env.flag("HTTPS", not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = HTTPS
HSTS_SECONDS = env.integer("HSTS_SECONDS", 3600)
SECURE_HSTS_SECONDS = HSTS_SECONDS if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = env.flag("HSTS_PRELOAD", False)
# Only behind a proxy that sets this header itself: anyone else could send it.
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("TRUST_PROXY", False) else None
)

_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
