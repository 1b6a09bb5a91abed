"""Request logs that cost the request nothing: gathered in memory, written by a worker."""

from core.request_logs.sending import flush, hand_over, status

__all__ = ["flush", "hand_over", "status"]
