"""The audit log as a Django app."""

from django.apps import AppConfig

from workers.engine_database import require_engine_database


class AuditConfig(AppConfig):
    """The audit log."""

    name = "workers.audit"
    label = "signalbox_audit"
    verbose_name = "Signalbox: audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Check that the table is where it has to be."""
        require_engine_database(self.get_model("AuditLog"))
