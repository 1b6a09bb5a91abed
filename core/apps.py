from django.apps import AppConfig
from django.core.checks import register


class CoreConfig(AppConfig):
    """Base models, the platform fee and the signals of the system."""

    name = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        from core.checks import check_roles
        from core.middleware.security_checks import check_security_headers
        from core.rows.relations import watch_relations

        watch_relations()
        register(check_roles, "signalbox")
        register(check_security_headers, "signalbox")
