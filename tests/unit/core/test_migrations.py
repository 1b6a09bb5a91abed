"""Migrations made for models of each kind are applied and taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter

SAMPLE = {"sample"}
ALIAS = "migrated"
# SQLite counts what has no name in the order of the columns.
UNNAMED = re.compile(r"__unnamed_constraint_\d+__|fk_\d+")


@pytest.fixture(scope="module")
def migrations() -> list[Migration]:
    """The migrations that `makemigrations` writes for the sample models, read back from text."""
    loader = MigrationLoader(None)
    detector = MigrationAutodetector(
        loader.project_state(),
        ProjectState.from_apps(apps),
        NonInteractiveMigrationQuestioner(specified_apps=SAMPLE),
    )
    changes = detector.changes(loader.graph, trim_to_apps=SAMPLE, convert_apps=SAMPLE)
    return [_read(MigrationWriter(made).as_string(), made.name) for made in changes["sample"]]


def _read(text: str, name: str) -> Migration:
    namespace: dict[str, Any] = {}
    exec(compile(text, name, "exec", dont_inherit=True), namespace)
    migration: Migration = namespace["Migration"](name, "sample")
    migration.source = text  # type: ignore[attr-defined]  # for the tests here
    return migration


@pytest.fixture
def empty_database(db: None, tmp_path: Path) -> Iterator[BaseDatabaseWrapper]:
    """A connection to a database, or a schema of it, without any table."""
    connection = connections["default"].copy(ALIAS)
    postgresql = connection.vendor == "postgresql"
    if postgresql:
        options = connection.settings_dict["OPTIONS"]
        connection.settings_dict["OPTIONS"] = {
            **{name: value for name, value in options.items() if name != "pool"},
            "options": f"-c search_path={ALIAS}",
        }
    else:
        connection.settings_dict["NAME"] = str(tmp_path / "migrated.sqlite3")
    connections[ALIAS] = connection
    try:
        if postgresql:
            _execute(connection, f"CREATE SCHEMA {ALIAS}")
        yield connection
        if postgresql:
            _execute(connection, f"DROP SCHEMA {ALIAS} CASCADE")
    finally:
        connection.close()
        del connections[ALIAS]


def _execute(connection: BaseDatabaseWrapper, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _state_after(migrations: list[Migration]) -> ProjectState:
    graph = MigrationLoader(None).graph
    # What the sample models refer to is there already.
    state: ProjectState = graph.make_state(nodes=graph.leaf_nodes("auth"))
    for migration in migrations:
        migration.mutate_state(state, preserve=False)
    return state


def _migrate(connection: BaseDatabaseWrapper, migrations: list[Migration]) -> None:
    state = _state_after([])
    for migration in migrations:
        with connection.schema_editor(atomic=migration.atomic) as editor:
            state = migration.apply(state, editor)


def _take_back(connection: BaseDatabaseWrapper, migrations: list[Migration]) -> None:
    for number in reversed(range(len(migrations))):
        before = _state_after(migrations[:number])
        with connection.schema_editor(atomic=migrations[number].atomic) as editor:
            migrations[number].unapply(before, editor)


def _tables(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return columns, indexes and constraints of the sample tables, as the database has them."""
    looking = connection.introspection
    with connection.cursor() as cursor:
        present = set(looking.table_names(cursor))
        names = [name for name in _sample_tables() if name in present]
        return {
            name: (
                sorted(
                    (column.name, column.type_code, column.null_ok, column.internal_size)
                    for column in looking.get_table_description(cursor, name)
                ),
                sorted(
                    repr((UNNAMED.sub("", named), sorted(what.items())))
                    for named, what in looking.get_constraints(cursor, name).items()
                ),
            )
            for name in names
        }


def _sample_tables() -> list[str]:
    config = apps.get_app_config("sample")
    found = config.get_models(include_auto_created=True)
    return sorted({model._meta.db_table for model in found})


def test_migrations_need_no_code_of_ours(migrations: list[Migration]) -> None:
    """A migration names Django's fields and bases, and the table that the model has."""
    source = "".join(migration.source for migration in migrations)  # type: ignore[attr-defined]
    for part in ("audit_part", "tenant_part", "model_mixins", "base_models", "table_names"):
        assert part not in source
    for table in ("user_profile", "user_login_log", "mixins_at_the_end"):
        assert f"'db_table': '{table}'" in source


def test_nothing_is_left_to_migrate(migrations: list[Migration]) -> None:
    """After its migrations `makemigrations` finds no change in any sample model."""
    graph = MigrationLoader(None).graph
    for migration in migrations:
        graph.add_node((migration.app_label, migration.name), migration)
    detector = MigrationAutodetector(_state_after(migrations), ProjectState.from_apps(apps))
    assert detector.changes(graph, trim_to_apps=SAMPLE) == {}


def test_migrated_tables_are_those_of_the_models(
    empty_database: BaseDatabaseWrapper, migrations: list[Migration]
) -> None:
    """Applied migrations make each table with the columns, indexes and constraints of its model;
    taken back, they leave nothing."""
    _migrate(empty_database, migrations)
    tables = _tables(empty_database)
    assert sorted(tables) == _sample_tables()
    assert tables == _tables(connections["default"])
    _take_back(empty_database, migrations)
    assert _tables(empty_database) == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("table", "columns", "unique"),
    [
        ("user_profile", ["id"], True),
        ("user_profile", ["created_at"], False),
        ("user_profile", ["updated_at"], False),
        ("shelf", ["is_deleted"], False),
        ("customer", ["tenant_id"], False),
        ("receipt", ["slug"], True),
        ("receipt", ["order"], False),
        ("sample_step", ["tenant_id"], False),
        ("sample_stamped", ["created_at"], False),
    ],
)
def test_columns_are_indexed_in_the_database(table: str, columns: list[str], unique: bool) -> None:
    """Keys, timestamps, marks, slugs, orders and tenants have an index that the database knows."""
    connection = connections["default"]
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table).values()
    indexes = [each for each in found if each["columns"] == columns]
    assert any(each["index"] or each["unique"] or each["primary_key"] for each in indexes)
    assert any(each["unique"] or each["primary_key"] for each in indexes) is unique


@pytest.mark.parametrize("model", list(apps.get_app_config("core").get_models()))
def test_models_of_core_carry_timestamps(model: type[models.Model]) -> None:
    """Each table of core says when a row was made and when it was saved last."""
    for name in ("created_at", "updated_at"):
        assert isinstance(model._meta.get_field(name), models.DateTimeField)
