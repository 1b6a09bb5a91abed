"""Rows that are marked when they are deleted, and can be brought back."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.decorators import action
from rest_framework.generics import GenericAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from core.soft_delete.part import SoftDeletePart


class SoftDeleteViewSetMixin(GenericAPIView[Any]):
    """DELETE marks the row as deleted; POST to `restore` below it brings it back.

    It goes before the viewset class. The view's model must soft-delete, else
    ImproperlyConfigured is raised.
    """

    def perform_destroy(self, instance: Any) -> None:
        """Mark the row as deleted."""
        if not isinstance(instance, SoftDeletePart):
            raise ImproperlyConfigured(
                f"{type(instance).__name__} has no soft deletion: its rows would be gone; "
                "inherit from SoftDeleteModel, or leave out SoftDeleteViewSetMixin"
            )
        instance.delete()

    def get_deleted_queryset(self) -> Any:
        """Return the deleted rows that this view may restore: those of its queryset.

        The view's filter backends apply to them as well.

        A `get_queryset` that filters by `is_deleted` itself has none: override this as well.
        """
        rows: Any = self.get_queryset()
        return rows.deleted()

    @action(detail=True, methods=["post"])
    def restore(self, request: Request, **kwargs: Any) -> Response:
        """Bring a deleted row back and return it; 404 when there is no such deleted row.

        Raises ConflictError when a unique value has been taken meanwhile.
        """
        lookup = {self.lookup_field: self.kwargs[self.lookup_url_kwarg or self.lookup_field]}
        rows = self.filter_queryset(self.get_deleted_queryset())
        instance = get_object_or_404(rows, **lookup)
        self.check_object_permissions(request, instance)
        instance.restore()
        return Response(self.get_serializer(instance).data)
