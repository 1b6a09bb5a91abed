from django.apps import AppConfig


class SiteConfig(AppConfig):
    """The site of the acceptance tests."""

    name = "tests.acceptance.site"
    label = "site"
    default_auto_field = "django.db.models.BigAutoField"
