"""Repositories: reading and writing the rows of one model, with errors that can be told apart."""

from core.repositories.asynchronous import AsyncRepository
from core.repositories.errors import DuplicateRowError, RefusedRowError
from core.repositories.synchronous import BaseRepository

__all__ = ["AsyncRepository", "BaseRepository", "DuplicateRowError", "RefusedRowError"]
