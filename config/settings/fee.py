"""The platform fee."""

__all__ = ["PLATFORM_FEE_PROCESS_SECONDS"]

from .environment import env

PLATFORM_FEE_PROCESS_SECONDS = env.seconds("PLATFORM_FEE_PROCESS_SECONDS", 1)
