from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Base models, the platform fee and the signals of the system."""

    name = "core"
    verbose_name = "Core"
