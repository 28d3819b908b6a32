"""What ffl_ray.config asks of pydantic, for a machine that has torch and not pydantic.

Settings are made as pydantic makes them and their values are taken as they are: nothing is checked.
The check's own settings need none, and a test holds that both make equal ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import get_annotations
from typing import Any, NamedTuple, get_args, get_type_hints

from .fields import FieldInfo


class BeforeValidator(NamedTuple):
    """What a value is passed through first."""

    func: Callable[[Any], Any]


class BaseModel:
    """A section of settings."""

    model_fields: dict[str, FieldInfo] = {}  # noqa: RUF012, as pydantic has it

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls.model_fields = {}
        for base in reversed(cls.__mro__[1:]):
            cls.model_fields |= vars(base).get("model_fields", {})
        for name in get_annotations(cls):
            default = cls.__dict__.get(name, ...)
            field = default if isinstance(default, FieldInfo) else FieldInfo(default)
            marks = get_args(hints[name]) if hasattr(hints[name], "__metadata__") else ()
            field.annotation = marks[0] if marks else hints[name]
            field.before = [mark.func for mark in marks[1:] if isinstance(mark, BeforeValidator)]
            cls.model_fields[name] = field

    def __init__(self, **given: Any) -> None:
        unknown = given.keys() - self.model_fields.keys()
        if unknown:
            raise ValidationError(f"unknown: {sorted(unknown)}")
        for name, field in self.model_fields.items():
            value = field.value(given[name]) if name in given else field.default
            if value is ...:
                raise ValidationError(f"{name} has no default")
            vars(self)[name] = value

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(vars(self).items())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).items()))

    @classmethod
    def model_validate(cls, given: dict[str, Any]) -> Any:
        """A section of these values, nested ones as dictionaries."""
        return cls(**given)

    def model_copy(self, update: dict[str, Any]) -> Any:
        """The same with some values replaced."""
        return type(self)(**(vars(self) | update))


class ValidationError(ValueError):
    """Settings that are not there."""

    def errors(self, **_: Any) -> list[dict[str, Any]]:
        """As pydantic lists them."""
        return [{"loc": (), "msg": str(self), "input": None}]


ConfigDict = dict
Field = FieldInfo
