"""What the effects reach and read: Twilio, PostHog, e-mail. Without credentials they stay off."""

__all__ = [
    "ANALYTICS_EXCLUDED_PATHS",
    "ANALYTICS_PSEUDONYM_SECRET",
    "ANALYTICS_REQUEST_SAMPLE_RATE",
    "AUDIT_EXCLUDED",
    "DEFAULT_FROM_EMAIL",
    "EMAIL_BACKEND",
    "EMAIL_FILE_PATH",
    "EMAIL_HOST",
    "EMAIL_HOST_PASSWORD",
    "EMAIL_HOST_USER",
    "EMAIL_PORT",
    "EMAIL_TIMEOUT",
    "EMAIL_USE_TLS",
    "POSTHOG_API_KEY",
    "POSTHOG_HOST",
    "POSTHOG_TIMEOUT_SECONDS",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_BASE_URL",
    "TWILIO_FROM_NUMBER",
    "TWILIO_TIMEOUT_SECONDS",
]

from .environment import VAR_DIR, env

HTTP = ["http", "https"]

TWILIO_ACCOUNT_SID = env.text("TWILIO_ACCOUNT_SID")
TWILIO_AUTH_TOKEN = env.text("TWILIO_AUTH_TOKEN")
TWILIO_FROM_NUMBER = env.text("TWILIO_FROM_NUMBER")
TWILIO_BASE_URL = env.url("TWILIO_BASE_URL", "", schemes=HTTP)
TWILIO_TIMEOUT_SECONDS = env.seconds("TWILIO_TIMEOUT_SECONDS", 10, minimum=0.1)

POSTHOG_API_KEY = env.text("POSTHOG_API_KEY")
POSTHOG_HOST = env.url("POSTHOG_HOST", "https://eu.i.posthog.com", schemes=HTTP)
POSTHOG_TIMEOUT_SECONDS = env.seconds("POSTHOG_TIMEOUT_SECONDS", 5, minimum=0.1)
# Empty: SECRET_KEY makes the pseudonyms. A key of its own lets SECRET_KEY be changed.
ANALYTICS_PSEUDONYM_SECRET = env.text("ANALYTICS_PSEUDONYM_SECRET")
# The share of requests that analytics gets, and the beginnings of paths that it does not get.
ANALYTICS_REQUEST_SAMPLE_RATE = env.seconds("ANALYTICS_REQUEST_SAMPLE_RATE", 1)
if ANALYTICS_REQUEST_SAMPLE_RATE > 1:
    env.report("ANALYTICS_REQUEST_SAMPLE_RATE", "is more than all.", "Use a number from 0 to 1.")
ANALYTICS_EXCLUDED_PATHS = env.words("ANALYTICS_EXCLUDED_PATHS", ["/health/"])

# Event names, or globs over them, that the audit log leaves out.
AUDIT_EXCLUDED = env.words("AUDIT_EXCLUDED")

EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.integer("EMAIL_PORT", 587, minimum=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = env.integer("EMAIL_TIMEOUT", 10, minimum=1)
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "django.core.mail.backends.filebased.EmailBackend"
)
# Without a server e-mails become files here: printed, they would put personal data into logs.
EMAIL_FILE_PATH = VAR_DIR / "mail"
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "signalbox@localhost")
