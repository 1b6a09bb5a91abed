"""Bearer tokens: JSON Web Tokens that somebody else has issued, verified with the keys of settings.

Tokens are never issued here.
"""

from core.jwt.claims import InvalidTokenError, verified_claims
from core.jwt.keys import Key, KeyRing, key_ring

__all__ = ["InvalidTokenError", "Key", "KeyRing", "key_ring", "verified_claims"]
