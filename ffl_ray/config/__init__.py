"""What can be set and what it means, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffl_ray.config.settings import Config

__all__ = ["Config"]


def __getattr__(name: str) -> Any:
    if name == "Config":
        from ffl_ray.config.settings import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
