"""Rows of the fee's history are refused one by one: `loaddata` updates none before it inserts."""

from django.db import migrations

_TRIGGER = """
DROP TRIGGER platform_fee_change_append_only ON platform_fee_change;
CREATE TRIGGER platform_fee_change_append_only BEFORE UPDATE OR DELETE ON platform_fee_change
    FOR EACH {} EXECUTE FUNCTION platform_fee_change_append_only();
"""


def _on_postgresql(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("core", "0004_platform_fee_history_append_only")]

    operations = [
        migrations.RunPython(
            _on_postgresql(_TRIGGER.format("ROW")), _on_postgresql(_TRIGGER.format("STATEMENT"))
        )
    ]
