"""pydantic's BaseModel under the name that tells it from the base of Django models."""

try:
    from pydantic import BaseModel as PydanticBaseModel
except ImportError as error:
    raise ImportError(
        "PydanticBaseModel needs pydantic, which is not installed: pip install pydantic"
    ) from error

__all__ = ["PydanticBaseModel"]
