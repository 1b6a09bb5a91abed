"""PostgreSQL refuses to change audit rows, whoever asks.

Deleting and changing pass only in a transaction that has said
`SET LOCAL signalbox.audit_retention = 'on'`. TRUNCATE passes, for test databases.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION signalbox_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('signalbox.audit_retention', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'audit rows are append-only: % on % refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'AuditLog.objects.prune(before=...) deletes old rows.';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER signalbox_audit_append_only BEFORE UPDATE OR DELETE ON signalbox_audit_auditlog
    FOR EACH STATEMENT EXECUTE FUNCTION signalbox_audit_append_only();
"""

DROP = """
DROP TRIGGER signalbox_audit_append_only ON signalbox_audit_auditlog;
DROP FUNCTION signalbox_audit_append_only();
"""


def _on_postgresql(sql):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            # Without parameters, so that "%" stays what it is.
            schema_editor.execute(sql, params=None)

    return run


class Migration(migrations.Migration):
    dependencies = [("signalbox_audit", "0001_initial")]

    operations = [migrations.RunPython(_on_postgresql(CREATE), _on_postgresql(DROP))]
