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

from core.config_classes import SecurityConfig

from .environment import VAR_DIR, env, local_secret

_settings = SecurityConfig.from_environment(
    env, development_key=lambda: local_secret(VAR_DIR / "secret_key")
).to_django()

DEBUG = _settings["DEBUG"]
SECRET_KEY = _settings["SECRET_KEY"]
ALLOWED_HOSTS = _settings["ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS = _settings["CSRF_TRUSTED_ORIGINS"]
CSRF_COOKIE_SECURE = _settings["CSRF_COOKIE_SECURE"]
SESSION_COOKIE_HTTPONLY = _settings["SESSION_COOKIE_HTTPONLY"]
SESSION_COOKIE_SECURE = _settings["SESSION_COOKIE_SECURE"]
SECURE_HSTS_INCLUDE_SUBDOMAINS = _settings["SECURE_HSTS_INCLUDE_SUBDOMAINS"]
SECURE_HSTS_PRELOAD = _settings["SECURE_HSTS_PRELOAD"]
SECURE_HSTS_SECONDS = _settings["SECURE_HSTS_SECONDS"]
SECURE_PROXY_SSL_HEADER = _settings["SECURE_PROXY_SSL_HEADER"]
SECURE_SSL_REDIRECT = _settings["SECURE_SSL_REDIRECT"]
SECURE_REDIRECT_EXEMPT = [r"^health/"]

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
