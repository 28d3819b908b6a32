"""How a setting is declared, and how its value is read from text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ffl_ray.config.constraints import parse_constraint
from ffl_ray.config.objectives import parse_objective, parse_objectives

MOST_DIGITS = 3
BRANCHES = re.compile(r"\+(?!\s*[1-9][0-9]*\s*(?:[+]|$))")  # between them: not before a number
DEEPER = re.compile(r"(.+)\+([1-9][0-9]{0,2})")
UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
OWN_CODE = re.compile(r"[\w./-]*:[\w./:-]*")  # or nearly; what is wrong with it is said later
BROUGHT = re.compile(r"(hf|wds):[^\s:\0][^\n\0]*")
OF_LIBRARIES = ("torchvision:", "timm:")  # what networks of a library are named by


class Section(BaseModel):
    """Settings that can't change and know no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Marks(NamedTuple):
    """What is known of a setting beside its default, its bounds and its meaning.

    Attributes:
        unit: of its value.
        source: where its default, or what it sets, was published.
        flag: the command-line option that sets it as well, with its placeholder: `--seed N`.
        resource: it says what a training may take of the machines, and changes nothing in it.
        may_change: a training (of a setting of a search: a search) may go on with another value.
    """

    unit: str = ""
    source: str = ""
    flag: str = ""
    resource: bool = False
    may_change: bool = False


def setting(
    default: object,
    description: str,
    *,
    unit: str = "",
    source: str = "",
    flag: str = "",
    resource: bool = False,
    may_change: bool = False,
    **bounds: object,
) -> Any:
    """A section's field, with its `Marks`; a resource may change when a search goes on.

    Args:
        bounds: as pydantic's `Field` takes them: `ge`, `lt` and so on.
    """
    marks = Marks(unit, source, flag, resource, may_change or resource)
    extra = marks._asdict()
    return Field(default, description=description, json_schema_extra=extra, **bounds)  # type: ignore[call-overload]


def one_of(*names: str) -> BeforeValidator:
    """One of these names, or the user's own code by module:name (`own_code` looks it up)."""

    def check(value: object) -> object:
        if value not in names and not (isinstance(value, str) and OWN_CODE.fullmatch(value)):
            known = ", ".join(f"'{name}'" for name in names[:-1])
            raise ValueError(f"must be {known} or '{names[-1]}', or your own module:name")
        return value

    return BeforeValidator(check)


def data_set_name(*names: str) -> BeforeValidator:
    """One of these names, hf:NAME, wds:SHARDS, or the user's own by module:name."""
    other = one_of(*names)

    def check(value: object) -> object:
        if isinstance(value, str) and value.startswith(("hf:", "wds:")):
            if BROUGHT.fullmatch(value):
                return value
            raise ValueError("must name a data set after hf:, and tar shards after wds:")
        return other.func(value)  # type: ignore[call-arg]

    return BeforeValidator(check)


def split_numbers(value: object) -> object:
    """A text of numbers with commas between them as its parts; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def none_word(value: object) -> object:
    """None for the words that mean it; anything else as it is."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def seconds(value: object) -> object:
    """A time such as 90, 40m, 1.5h or 1h30m in seconds; anything else as it is."""
    value = none_word(value)
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    parts = TIME.findall(text)
    units = [unit or "s" for _, unit in parts] if len(parts) == 1 else [unit for _, unit in parts]
    if not parts or TIME.sub("", text) or not all(unit in UNITS_S for unit in units):
        raise ValueError("must read like 90s, 40m, 1.5h or 1h30m")
    return sum(
        float(number) * UNITS_S[unit] for (number, _), unit in zip(parts, units, strict=True)
    )


def as_time(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as 1h30m: what `seconds` reads, rounded."""
    minutes, rest = divmod(round(seconds), 60)
    parts = zip((*divmod(minutes, 60), rest), "hms", strict=True)
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def as_text(value: object) -> object:
    """A whole number as text; anything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def absolute_path(value: object) -> object:
    """A path, wherever a worker runs: from the root on."""
    return str(Path(value).absolute()) if isinstance(value, str) else value


def teacher_name(value: object) -> object:
    """A network of a library by its name, or the path of an exported model."""
    named = isinstance(value, str) and value.startswith(OF_LIBRARIES)
    return value if named else absolute_path(value)


def parse_mix(value: object) -> object:
    """Canonical form of a mix: its backbones sorted, so that two orders are one mix.

    Args:
        value: `"resnet20+wrn16_2"`, `"2*resnet20+wrn16_2"`, or a list of backbone names. A number
            after a name makes it deeper: `"resnet32+resnet32+4"` is two branches.
    """
    if isinstance(value, str):
        if value.strip().lower() == "none":
            return None
        names = _mix_names(value)
    elif isinstance(value, (list, tuple)):
        names = list(value)
    else:
        return value
    if not names or not all(names):
        raise ValueError("must hold at least one branch, and a name for each")
    return tuple(sorted(names, key=lambda name: split_deeper(str(name))))


def split_deeper(name: str) -> tuple[str, int]:
    """The backbone that a name is made of, and how many blocks more its last stage has.

    `resnet32+4` is `resnet32` with 4.
    """
    found = DEEPER.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 0)


def _mix_names(text: str) -> list[str]:
    names: list[str] = []
    for part in BRANCHES.split(text.replace(",", "+")):
        count, star, name = ("".join(word.split()) for word in part.partition("*"))
        if star and not count.isdecimal():
            raise ValueError(f"must read like 2*resnet20+wrn16_2 (at {part.strip()[:100]!r})")
        if star and len(count) > MOST_DIGITS:
            raise ValueError(f"must have at most 999 of a backbone, not {count[:100]}")
        names += [name] * int(count) if star else [count]
    return names


def objective_name(value: object) -> object:
    """The full name of one validation metric."""
    if not isinstance(value, str):
        return value
    objective = parse_objective(value)
    if objective.is_cost:
        raise ValueError("must be a validation metric, not a cost")
    return objective.name


def objective_names(value: object) -> object:
    """The full names of a search's objectives, from a list or from a text with commas."""
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return ()
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.replace("+", ",").split(",") if part.strip())
    if isinstance(value, (list, tuple)):
        return tuple(objective.name for objective in parse_objectives(value))
    return value


def listed(separator: str) -> Callable[[object], object]:
    """What makes distinct texts of a list, or of a text with this separator between them."""

    def read(value: object) -> object:
        value = none_word(value)
        if value is None:
            return ()
        if isinstance(value, str):
            value = value.split(separator)
        if isinstance(value, (list, tuple)):
            return tuple(dict.fromkeys(str(text).strip() for text in value if str(text).strip()))
        return value

    return read


def constraint_names(value: object) -> object:
    """The constraints of a search, each in its one form."""
    found = listed(",")(value)
    if isinstance(found, tuple):
        return tuple(dict.fromkeys(parse_constraint(text).name for text in found))
    return found


def words(value: object) -> object:
    """Distinct words, from a list or from a text with commas."""
    return listed(",")(value.replace("+", ",") if isinstance(value, str) else value)


Optional = BeforeValidator(none_word)
