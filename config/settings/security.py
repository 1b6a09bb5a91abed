"""Secrets, hosts and what HTTPS needs."""

__all__ = [
    "ALLOWED_HOSTS",
    "AUTH_PASSWORD_VALIDATORS",
    "CSRF_COOKIE_SECURE",
    "CSRF_TRUSTED_ORIGINS",
    "DEBUG",
    "PERMISSIONS_POLICY",
    "SECRET_KEY",
    "SECURE_CROSS_ORIGIN_RESOURCE_POLICY",
    "SECURE_CSP",
    "SECURE_CSP_REPORT_ONLY",
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
from core.csp import CSP

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

# What pages may do: nothing but with files of this site, and with scripts and styles that have the
# nonce of the request. The admin needs no more.
_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
if _csp_reports := env.url("CSP_REPORT_URI", "", schemes=["http", "https"]):
    _CSP["report-uri"] = [_csp_reports]
# To see in browsers' consoles what the policy would stop, before it does.
_csp_only_reports = env.flag("CSP_REPORT_ONLY", False)
SECURE_CSP = {} if _csp_only_reports else _CSP
SECURE_CSP_REPORT_ONLY = _CSP if _csp_only_reports else {}

_NOBODY: list[str] = []
PERMISSIONS_POLICY = dict.fromkeys(
    (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "payment",
        "usb",
    ),
    _NOBODY,
)
SECURE_CROSS_ORIGIN_RESOURCE_POLICY = "same-origin"

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
