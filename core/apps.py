from django.apps import AppConfig
from django.core.checks import register


class CoreConfig(AppConfig):
    """Base models, the platform fee and the signals of the system."""

    name = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        from core.checks import check_roles
        from core.logs.queries import watch_queries
        from core.middleware.order import check_order
        from core.middleware.security_checks import check_security_headers
        from core.middleware.tenant_checks import check_tenant
        from core.middleware.token_checks import check_tokens
        from core.rows.relations import watch_relations

        watch_relations()
        watch_queries()
        register(check_roles, "signalbox")
        register(check_security_headers, "signalbox")
        for check in (check_order, check_tokens, check_tenant):
            register(check, "signalbox")
