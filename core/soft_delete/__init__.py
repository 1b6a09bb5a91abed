"""Soft deletion: rows are marked, with what belongs to them, and can be restored."""
