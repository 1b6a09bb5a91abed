from django.db import migrations


def create_default(apps, schema_editor):
    config = apps.get_model("core", "PlatformFeeConfig")
    config._base_manager.using(schema_editor.connection.alias).get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("core", "0001_platform_fee")]

    operations = [migrations.RunPython(create_default, migrations.RunPython.noop, elidable=False)]
