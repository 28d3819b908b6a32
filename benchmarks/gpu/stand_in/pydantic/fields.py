"""A setting, as pydantic.fields knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FieldInfo:
    """A setting's default and marks; its kind is known when its section is."""

    def __init__(self, default: Any = ..., **known: Any) -> None:
        self.default = default
        self.json_schema_extra = known.get("json_schema_extra", {})
        self.annotation: Any = None
        self.before: list[Callable[[Any], Any]] = []

    def value(self, given: Any) -> Any:
        """The setting's value from what was given for it."""
        for function in self.before:
            given = function(given)
        nested = isinstance(given, dict) and isinstance(self.annotation, type)
        return self.annotation(**given) if nested else given
