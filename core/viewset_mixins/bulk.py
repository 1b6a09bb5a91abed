"""One action on many rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models, router, transaction
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request, clone_request
from rest_framework.response import Response

from core.helpers import shortened
from core.rows.values import REFUSED_VALUES, clean


class BulkActionMixin(GenericAPIView[Any]):
    """Apply an action to the rows that the body names: `{"ids": [...]}`, at most 100 of them.

    `bulk_actions` says which method of the view is called with each row:

        bulk_actions = {**BulkActionMixin.bulk_actions, "archive": "perform_archive"}

        @action(detail=False, methods=["post"])
        def bulk_archive(self, request):
            return self.perform_bulk_action(request, "archive")
    """

    bulk_actions: ClassVar[Mapping[str, str]] = {"delete": "perform_destroy"}
    max_bulk_ids: ClassVar[int] = 100

    def perform_bulk_action(self, request: Request, action: str) -> Response:
        """Apply the action to every row named in the body, or to none of them.

        The rows must be visible in the view's queryset and permitted one by one; "delete" is
        permitted to whom a DELETE would be, though it is a POST. Returns the action, the count
        and the ids. Raises the REST framework's ValidationError for a bad body
        or an unknown action, NotFound with `unknown_ids`, and what the permissions raise.
        """
        method = self._method_of(action)
        asked = self._as_asked(request, action)
        ids = self._ids_in(request)
        using = router.db_for_write(self._model())
        with transaction.atomic(using=using):
            rows = self._rows(ids, using)
            for row in rows:
                self.check_object_permissions(asked, row)
            for row in rows:
                method(row)
        return Response({"action": action, "count": len(ids), "ids": ids})

    def _as_asked(self, request: Request, action: str) -> Request:
        if self.bulk_actions[action] != "perform_destroy":
            return request
        # Permissions by model and method would take the POST for the adding of a row.
        asked = clone_request(request, "DELETE")
        self.check_permissions(asked)
        return asked

    def _method_of(self, action: str) -> Any:
        if not isinstance(action, str) or action not in self.bulk_actions:
            known = ", ".join(self.bulk_actions)
            raise ValidationError({"action": [f"{shortened(action)} is not one of {known}"]})
        return getattr(self, self.bulk_actions[action])

    def _model(self) -> type[models.Model]:
        model: type[models.Model] = self.get_queryset().model
        return model

    def _ids_in(self, request: Request) -> list[Any]:
        body = request.data
        given = body.get("ids") if isinstance(body, Mapping) else None
        if not isinstance(given, list) or not 1 <= len(given) <= self.max_bulk_ids:
            message = f"must be a list of 1 to {self.max_bulk_ids} ids"
            raise ValidationError({"ids": [message]})
        key = self._model()._meta.pk
        ids, bad = [], []
        for item in given:
            try:
                ids.append(_key(key, item))
            except REFUSED_VALUES:
                bad.append(shortened(item))
        if bad:
            raise ValidationError({"ids": [f"{', '.join(bad)}: not an id of this kind"]})
        return list(dict.fromkeys(ids))

    def _rows(self, ids: list[Any], using: str) -> list[Any]:
        queryset = self.filter_queryset(self.get_queryset()).using(using)
        found = {row.pk: row for row in queryset.filter(pk__in=ids)}
        unknown = [key for key in ids if key not in found]
        if unknown:
            raise NotFound({"unknown_ids": unknown})
        return [found[key] for key in ids]


def _key(field: Any, item: Any) -> Any:
    # Django would take 1.9 and True for 1.
    if isinstance(item, bool) or not isinstance(item, str | int):
        raise ValueError("not an id")
    return clean(field, item)
