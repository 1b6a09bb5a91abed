"""How calls to other services identify themselves."""

__all__ = ["SERVICE_AUTH_TOKEN", "SERVICE_TOKEN_PROVIDER"]

from .environment import env

# A token for every service that is given no other one; or the function that issues them.
SERVICE_AUTH_TOKEN = env.text("SERVICE_AUTH_TOKEN")
SERVICE_TOKEN_PROVIDER = env.text("SERVICE_TOKEN_PROVIDER")
