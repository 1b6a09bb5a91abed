"""Django settings, read from the environment; one topic per module.

Every variable is listed in `.env.example` and has a default that works. A bad value does not raise
here: `environment.problems` collects it, `manage.py check` reports it by name, and the web server,
worker and beat refuse to start (see `config.checks`).
"""

from .apps import *
from .auth import *
from .cache import *
from .callers import *
from .celery import *
from .database import *
from .effects import *
from .events import *
from .examples import *
from .fee import *
from .logging import *
from .request_logs import *
from .security import *
from .services import *
from .web import *
