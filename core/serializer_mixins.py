"""Parts of serializers; they need Django REST framework, and say so when it is not installed."""

from __future__ import annotations

from typing import Any

try:
    from rest_framework import serializers
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "rest_framework":
        raise

    def __getattr__(name: str) -> Any:
        if name != "TimestampMixin":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise ImportError(f"{name} needs Django REST framework: pip install djangorestframework")

else:

    class TimestampMixin(metaclass=serializers.SerializerMetaclass):
        """`created_at` and `updated_at`, read only; it goes before the serializer class."""

        # The metaclass collects the fields: those of an ordinary class would be ignored.
        created_at = serializers.DateTimeField(read_only=True)
        updated_at = serializers.DateTimeField(read_only=True)
