"""PostgreSQL refuses to change the history of the fee, whoever asks. TRUNCATE passes, for tests."""

from django.db import migrations

CREATE = """
CREATE FUNCTION platform_fee_change_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of the platform fee is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER platform_fee_change_append_only BEFORE UPDATE OR DELETE ON platform_fee_change
    FOR EACH STATEMENT EXECUTE FUNCTION platform_fee_change_append_only();
"""

DROP = """
DROP TRIGGER platform_fee_change_append_only ON platform_fee_change;
DROP FUNCTION platform_fee_change_append_only();
"""


def _on_postgresql(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            # Without parameters, so that "%" stays what it is.
            schema_editor.execute(sql, params=None)

    return run


class Migration(migrations.Migration):
    dependencies = [("core", "0003_platform_fee_history")]

    operations = [migrations.RunPython(_on_postgresql(CREATE), _on_postgresql(DROP))]
