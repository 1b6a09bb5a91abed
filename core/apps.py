from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Base models, the platform fee and the signals of the system."""

    name = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        from core.relations import watch_relations

        watch_relations()
