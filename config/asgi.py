"""The ASGI application, for servers that speak it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()

from django.conf import settings  # noqa: E402  # needs Django set up

from config.checks import require_valid_environment  # noqa: E402  # likewise

require_valid_environment()

# Under ASGI a thread serves one request and ends: a connection kept for its next one stays open
# without use, until the database takes no more.
for _database in settings.DATABASES.values():
    _database["CONN_MAX_AGE"] = 0
