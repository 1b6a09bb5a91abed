from django.apps import AppConfig


class SampleConfig(AppConfig):
    """Models that only tests use; without migrations, so their tables are made on the spot."""

    name = "tests.sample"
    label = "sample"
