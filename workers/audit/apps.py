from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The audit log."""

    name = "workers.audit"
    label = "signalbox_audit"
    verbose_name = "Signalbox: audit"
    default_auto_field = "django.db.models.BigAutoField"
