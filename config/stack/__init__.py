"""The whole system as child processes of one supervisor: servers, web, workers, beat, Flower.

    with Stack(Path("var/demo"), env={"POSTHOG_API_KEY": "phc_x"}, workers=2) as stack:
        requests.get(stack.web + "/health/")
        stack.kill("worker-1")           # SIGKILL to it and its pool; comes back by itself
        stack.stop_process("beat")       # stays down until start_process("beat")
        stack.restart("valkey")
        stack.manage("events", "status", "--json").stdout

Without `DATABASE_URL`, `REDIS_URL` and `CELERY_BROKER_URL` (in `env` or the environment) the stack
runs on SQLite in its work directory and on a Valkey or Redis server of its own; `postgres=True`
gives it a PostgreSQL server of its own. See `Stack` for everything else. `python -m config.stack`
runs it until Ctrl-C.
"""

from .processes import ManagedProcess, StackError, Supervisor
from .servers import PostgresServer, ValkeyServer
from .stack import Stack

__all__ = [
    "ManagedProcess",
    "PostgresServer",
    "Stack",
    "StackError",
    "Supervisor",
    "ValkeyServer",
]
