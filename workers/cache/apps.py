"""Cache invalidation as a Django app."""

from django.apps import AppConfig


class CacheConfig(AppConfig):
    """Cache invalidation and warm-up."""

    name = "workers.cache"
    label = "signalbox_cache"
    verbose_name = "Signalbox: cache"
