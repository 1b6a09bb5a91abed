"""Keep the hot table small on PostgreSQL: its rows live for seconds, so vacuum has to be quick."""

from django.db import migrations

SETTINGS = {
    "signalbox_events_delivery": {
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_threshold": "2000",
        "autovacuum_vacuum_cost_delay": "0",
    },
    "signalbox_events_route": {"autovacuum_vacuum_threshold": "200", "fillfactor": "50"},
    "signalbox_events_duty": {"autovacuum_vacuum_threshold": "200", "fillfactor": "50"},
}


def tune(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, options in SETTINGS.items():
            values = ", ".join(f"{name} = {value}" for name, value in options.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({values})")


def untune(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, options in SETTINGS.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(options)})")


class Migration(migrations.Migration):
    dependencies = [("signalbox_events", "0001_initial")]

    operations = [migrations.RunPython(tune, untune)]
