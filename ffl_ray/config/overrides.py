"""Settings by their dotted names: listed, read, shown and replaced.

`with_overrides` is the one way to change any; it serves `--set`, search spaces and tables alike.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ffl_ray.config.distill_settings import POLICIES
from ffl_ray.config.older import renamed
from ffl_ray.config.values import Marks
from ffl_ray.errors import SettingError

LONGEST = 500
ConfigT = TypeVar("ConfigT", bound=BaseModel)


class Setting(NamedTuple):
    """One dotted setting and what is known of it."""

    name: str
    field: FieldInfo

    @property
    def marks(self) -> Marks:
        """Its unit, source and flag, and when it may change."""
        return Marks(**cast(dict[str, Any], self.field.json_schema_extra))


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """Every leaf setting of a section, with its dotted name, in order of definition."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings(kind, f"{prefix}{name}.")
        else:
            yield Setting(f"{prefix}{name}", field)


def changeable(model: type[BaseModel]) -> frozenset[str]:
    """The settings of a section with which what has begun may go on changed."""
    return frozenset(one.name for one in settings(model) if one.marks.may_change)


def nearest(name: object, known: list[str]) -> str:
    """The nearest known name as the tail of a message, or nothing when none is near."""
    if not isinstance(name, str) or len(name) > LONGEST:
        return ""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not close:
        tails = {known_name.rpartition(".")[2]: known_name for known_name in known}
        close = [tails[t] for t in difflib.get_close_matches(name, list(tails), n=1, cutoff=0.6)]
    return f"; the nearest known is {close[0]!r}" if close else ""


@cache
def _readers(model: type[BaseModel]) -> Mapping[str, Callable[[BaseModel], Any]]:
    """What reads each setting, by its dotted name."""
    return {one.name: attrgetter(one.name) for one in settings(model)}


def flatten(config: BaseModel) -> dict[str, Any]:
    """A config as dotted names and plain values; the inverse of `with_overrides`."""
    return {name: read(config) for name, read in _readers(type(config)).items()}


def mix_name(mix: tuple[str, ...]) -> str:
    """A mix as one word, `2*resnet20+wrn16_2`: what tables and messages show."""
    counts = Counter(mix)
    return "+".join(f"{counts[name]}*{name}" if counts[name] > 1 else name for name in counts)


def shown(value: object) -> str:
    """A setting's value as `--set` takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        if not value:
            return "none"
        is_mix = isinstance(value[0], str) and value[0] not in POLICIES  # these keep their order
        return mix_name(value) if is_mix else ",".join(str(item) for item in value)
    return str(value)


def with_overrides(config: ConfigT, overrides: Mapping[str, object]) -> ConfigT:
    """The config with some dotted settings replaced, checked as a whole.

    Raises:
        SettingError: a name is unknown (the nearest known one is named) or a value breaks its
            rule (setting, rule and value are named).
    """
    known = _readers(type(config))
    for name in overrides:
        if name not in known:
            hint = renamed(name) or nearest(name, [*known])
            raise SettingError(f"unknown setting {brief(repr(name))}{hint}")
    nested: dict[str, Any] = {}
    for name, value in (flatten(config) | dict(overrides)).items():
        *path, leaf = name.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[leaf] = value
    try:
        return type(config).model_validate(nested)
    except ValidationError as error:
        raise SettingError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False):
        name = ".".join(str(part) for part in item["loc"] if not isinstance(part, int))
        message = item["msg"].removeprefix("Value error, ")
        for start in ("Input should be", "Input should have", "Tuple should have"):
            verb = "have" if start.endswith("have") else "be"
            message = message.replace(start, f"must {verb}", 1)
        lines.append(f"{brief(f'{name} {message}')}, not {brief(repr(item['input']))}")
    return "; ".join(lines)


def brief(text: str) -> str:
    """A text of any length as a message shows it."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"


def some(names: Sequence[str], count: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return f"{', '.join(names[:count])}{more}"


def parse_assignments(assignments: list[str]) -> dict[str, object]:
    """`["a.b=1", ...]` as a mapping of names to unparsed values.

    Raises:
        SettingError: an item is not of the form name=value.
    """
    parsed: dict[str, object] = {}
    for item in assignments:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise SettingError(
                f"--set takes name=value, such as optim.epochs=30, not {brief(repr(item))}"
            )
        parsed[name.strip()] = value.strip()
    return parsed
