"""The Celery app of the usual way.

Tuned: no new database connection for each task, no results, no lengthy retries of a publish within
the request, no task events for Flower (they would cost a third of the throughput), a prefetch that
suits tasks of a millisecond, processes that are not replaced, and the same rest for the garbage
collector as in this project's own workers.
"""

from celery import Celery
from celery.signals import worker_process_init

from config import garbage

app = Celery("usual")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    beat_scheduler=None,
    imports=["tests.benchmarks.sides.usual"],
    worker_send_task_events=False,
    worker_max_tasks_per_child=None,
    worker_prefetch_multiplier=16,
)
worker_process_init.connect(garbage.spare)
