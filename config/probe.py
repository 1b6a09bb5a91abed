"""`python -m config.probe web|worker|beat|flower`: health of a process, seen from its container."""

import os
import socket
import sys
import urllib.error
import urllib.request
from datetime import timedelta

import django
from django.utils import timezone

from config.celery import app

# Beat writes down every three minutes what it has sent.
BEAT_SILENCE = timedelta(minutes=7)


def web() -> bool:
    """Tell whether the web process answers."""
    return _answers(f"http://127.0.0.1:{os.environ.get('GRANIAN_PORT', '8000')}/health/live/")


def flower() -> bool:
    """Tell whether Flower answers."""
    return _answers(f"http://127.0.0.1:{os.environ.get('FLOWER_PORT', '5555')}/healthcheck")


def worker() -> bool:
    """Tell whether this host's worker answers through the broker."""
    return bool(app.control.ping([f"celery@{socket.gethostname()}"], timeout=5))


def beat() -> bool:
    """Tell whether beat has lately sent the sweep; a person may have switched it off."""
    django.setup()
    from django_celery_beat.models import PeriodicTask  # models exist only after set-up

    sweep = PeriodicTask.objects.filter(task="events.sweep", enabled=True).first()
    if sweep is None:
        return True
    return bool(sweep.last_run_at and timezone.now() - sweep.last_run_at < BEAT_SILENCE)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=4) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


PROBES = {"web": web, "worker": worker, "beat": beat, "flower": flower}


def main() -> int:
    """Run the probe named on the command line; 0 means healthy."""
    probe = PROBES.get(" ".join(sys.argv[1:]))
    if probe is None:
        print(f"usage: python -m config.probe {'|'.join(PROBES)}", file=sys.stderr)
        return 2
    return 0 if probe() else 1


if __name__ == "__main__":
    sys.exit(main())
