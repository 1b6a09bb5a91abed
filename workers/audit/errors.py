"""What the audit log refuses."""

from __future__ import annotations

from core.exceptions import BusinessLogicError


class AppendOnlyError(BusinessLogicError):
    """Audit rows are written once: they cannot be changed, and only `prune` may delete old ones."""

    default_code = "AUDIT_APPEND_ONLY"
