"""Parts of viewsets: pages, actions on many rows, soft deletion.

They need Django REST framework. This package imports without it; using a name of it then says what
to install.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.viewset_mixins.bulk import BulkActionMixin
    from core.viewset_mixins.pages import PageNumbers, PaginationMixin
    from core.viewset_mixins.soft_delete import SoftDeleteViewSetMixin

__all__ = ["BulkActionMixin", "PageNumbers", "PaginationMixin", "SoftDeleteViewSetMixin"]

_HOME_OF = {
    "BulkActionMixin": "core.viewset_mixins.bulk",
    "PageNumbers": "core.viewset_mixins.pages",
    "PaginationMixin": "core.viewset_mixins.pages",
    "SoftDeleteViewSetMixin": "core.viewset_mixins.soft_delete",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME_OF[name]), name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "rest_framework":
            raise
        raise ImportError(
            f"{name} needs Django REST framework: pip install djangorestframework"
        ) from missing
