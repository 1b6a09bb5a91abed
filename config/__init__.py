"""How this system is wired: settings, Celery, URLs, schedule and processes."""
