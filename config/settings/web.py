"""Requests: middleware, templates, URLs, static files, language and time."""

__all__ = [
    "API_PREFIX",
    "CSRF_FAILURE_VIEW",
    "LANGUAGE_CODE",
    "MIDDLEWARE",
    "ROOT_URLCONF",
    "STATIC_ROOT",
    "STATIC_URL",
    "TEMPLATES",
    "TIME_ZONE",
    "USE_I18N",
    "USE_TZ",
    "WSGI_APPLICATION",
]

from pathlib import Path

from .environment import VAR_DIR, env

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

# In the order of core.middleware.order, which `manage.py check` verifies.
MIDDLEWARE = [
    "core.middleware.request_context.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "core.middleware.security.SecurityHeadersMiddleware",
    "core.middleware.request_logging.RequestLoggingMiddleware",
    "core.middleware.analytics.AnalyticsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "core.middleware.auth_middleware.AuthMiddleware",
    "core.middleware.tenant.TenantMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.middleware.exception_handler.ExceptionHandlerMiddleware",
]
# Below it every error is JSON; elsewhere, and for who prefers pages, Django's pages are shown.
API_PREFIX = "/api/"
CSRF_FAILURE_VIEW = "core.middleware.exception_handler.csrf_failure"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "core.csp.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(VAR_DIR / "static")))

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
