"""Empties PostgreSQL's tables after tests that commit, without TRUNCATE where no row is.

TRUNCATE makes the files of a table and of its indexes anew even if it is empty, which takes longer
than most tests. The outcome and the locks here are the same: whoever still writes is waited for,
and tables that refer to the given ones are emptied with them.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.operations import BaseDatabaseOperations

# Rows that triggers protect go by TRUNCATE, first, as it refuses to follow deletions.
_EMPTY = """
DO $$
DECLARE
    each record;
    filled boolean;
BEGIN
    FOR each IN
        WITH RECURSIVE emptied (id) AS (
            SELECT unnest(ARRAY[{tables}]::regclass[]::oid[])
            UNION
            SELECT conrelid FROM pg_constraint JOIN emptied ON confrelid = id WHERE contype = 'f'
        )
        SELECT id::regclass AS name, EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = id AND NOT tgisinternal
        ) AS guarded
        FROM emptied ORDER BY guarded DESC
    LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', each.name);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', each.name) INTO filled;
        IF filled AND each.guarded THEN
            EXECUTE format('TRUNCATE %s CASCADE', each.name);
        ELSIF filled THEN
            EXECUTE format('DELETE FROM %s', each.name);
        END IF;
    END LOOP;
END $$
"""


def sql_flush(
    operations: BaseDatabaseOperations, style: object, tables: list[str], **options: Any
) -> list[str]:
    """Return the statement that empties the tables; it replaces the method of Django's backend."""
    names = ", ".join(f"'{operations.quote_name(table)}'" for table in tables)
    return [_EMPTY.replace("{tables}", names)] if tables else []
