"""What the example apps read."""

__all__ = ["TICKETS_CITY_GUIDE_URL"]

from .environment import env

TICKETS_CITY_GUIDE_URL = env.url("TICKETS_CITY_GUIDE_URL", "", schemes=["http", "https"])
