from django.apps import AppConfig


class ShopConfig(AppConfig):
    """What the sides have in common."""

    name = "tests.benchmarks.shop"
    label = "bench_shop"
    default_auto_field = "django.db.models.BigAutoField"
