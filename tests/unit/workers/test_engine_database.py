"""Tables that are written exactly once belong into the database of the events."""

from __future__ import annotations

from typing import Any

from workers.audit.models import AuditLog
from workers.engine_database import misplaced


class Elsewhere:
    """Routes every model to another database."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "elsewhere"


def test_a_table_elsewhere_is_an_error(settings: Any) -> None:
    """`manage.py check` names the model, the two databases and the way out."""
    assert misplaced(AuditLog) == []
    settings.DATABASE_ROUTERS = [f"{__name__}.Elsewhere"]
    (error,) = misplaced(AuditLog)
    assert "signalbox_audit.AuditLog" in error.msg
    assert "'elsewhere'" in error.msg
    assert "DATABASE_ROUTERS" in (error.hint or "")
