"""Audit rows are refused one by one: `loaddata` updates none before it inserts."""

from django.db import migrations

_RETURN = """
CREATE OR REPLACE FUNCTION signalbox_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('signalbox.audit_retention', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'audit rows are append-only: % on % refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'AuditLog.objects.prune(before=...) deletes old rows.';
    END IF;
    RETURN COALESCE(NEW, OLD);
END
$$;
"""

_TRIGGER = """
DROP TRIGGER signalbox_audit_append_only ON signalbox_audit_auditlog;
CREATE TRIGGER signalbox_audit_append_only BEFORE UPDATE OR DELETE ON signalbox_audit_auditlog
    FOR EACH {} EXECUTE FUNCTION signalbox_audit_append_only();
"""


def _on_postgresql(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            # Without parameters, so that "%" stays what it is.
            schema_editor.execute(sql, params=None)

    return run


class Migration(migrations.Migration):
    dependencies = [("signalbox_audit", "0002_append_only")]

    operations = [
        # What the function returns means nothing to a trigger of statements.
        migrations.RunPython(_on_postgresql(_RETURN), migrations.RunPython.noop),
        migrations.RunPython(
            _on_postgresql(_TRIGGER.format("ROW")), _on_postgresql(_TRIGGER.format("STATEMENT"))
        ),
    ]
