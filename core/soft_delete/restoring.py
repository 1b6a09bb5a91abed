"""The way back from soft deletion.

What comes back with a row is what went with it: the rows that refer to it and have the very same
`deleted_at`, as all rows of one deletion have. That needs no column for the deletion, and rows
that were deleted by themselves, before or after, differ by a microsecond at least. A row that was
restored by itself in between has a life of its own from then on, with what is below it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError
from django.db.models import OuterRef, Subquery

from core.duplicates import is_duplicate
from core.exceptions import ConflictError
from core.rows.keys import Rows, every_row
from core.soft_delete.cascade import Reference, cascades, references_to, referring, takes_along
from core.soft_delete.marks import (
    Model,
    Times,
    announce_unmarked,
    locked_times,
    rows_of,
    table_of,
    unmark,
)


@contextmanager
def restore_conflicts(what: object) -> Iterator[None]:
    """Raise ConflictError for what cannot come back, since a unique value of it is taken."""
    try:
        yield
    except IntegrityError as error:
        if not is_duplicate(error):
            # A receiver's mistake, say.
            raise
        raise ConflictError(
            f"{what} cannot be restored: another row has taken one of its unique values",
            code="RESTORE_CONFLICT",
        ) from error


def restore_rows(rows: Rows) -> int:
    """Clear the marks of these rows and of what went with them; return how many these were."""
    model, using = rows.model, rows.db
    if not cascades(model) and not _is_tracked(model):
        keys = unmark(rows)
        announce_unmarked(model, dict.fromkeys(keys), using, exact=False)
        return len(keys)
    times = locked_times(rows)
    companions = gone_with(model, times, using)
    count = _bring_back(model, times, using)
    bring_back(companions, using)
    return count


def gone_with(model: Model, times: Times, using: str) -> dict[Model, Times]:
    """Lock what went with these rows of the model; return when each was deleted, by model and key.

    Nothing goes with rows of a model that does not cascade.
    """
    found: dict[Model, Times] = defaultdict(dict)
    seen = defaultdict(set, {table_of(model): set(times)})
    waiting = deque([(model, times)] if times and cascades(model) else [])
    while waiting:
        parent, its_times = waiting.popleft()
        for reference in filter(takes_along, references_to(parent)):
            known = seen[table_of(reference.model)]
            children = locked_times(_gone_along(reference, its_times, using))
            new = {key: at for key, at in children.items() if key not in known}
            known |= new.keys()
            found[reference.model] |= new
            waiting += [(reference.model, new)] if new else []
    return found


def bring_back(companions: dict[Model, Times], using: str) -> None:
    """Clear the marks of these rows, given by model and key."""
    for model, times in companions.items():
        _bring_back(model, times, using)


def _bring_back(model: Model, times: Times, using: str) -> int:
    keys = unmark(rows_of(model, times, using))
    back = {key: times[key] for key in keys}
    announce_unmarked(model, back, using, exact=_is_tracked(model))
    return len(keys)


def _gone_along(reference: Reference, times: Times, using: str) -> Rows:
    target = reference.target_field.attname
    parents = every_row(reference.remote_field.model, using)
    its_parent = parents.filter(**{target: OuterRef(reference.attname)})
    rows = referring(reference, times, using)
    return rows.filter(is_deleted=True, deleted_at=Subquery(its_parent.values("deleted_at")))


def _is_tracked(model: Model) -> bool:
    return bool(getattr(model, "track_bulk_changes", False))
