from django.apps import AppConfig


class EffectsConfig(AppConfig):
    """The routes of the fault suite."""

    name = "tests.chaos.effects"
    label = "chaos"
    default_auto_field = "django.db.models.BigAutoField"
