"""A part of what another study searched, as a space file: some dimensions, the rest fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
)

from ffl_ray.results.history import distributions_of
from ffl_ray.search.distributions import gathered, widest

Kinds = Mapping[str, BaseDistribution]


def searched_kinds(trials: Iterable[Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """What a study searched: of each parameter the distribution that holds all it was drawn from.

    Args:
        trials: rows of its trials table.
    """
    found = gathered(distributions_of(text) for text in {row["distributions"] for row in trials})
    return {name: widest(kinds) for name, kinds in sorted(found.items())}


def choice_of(values: Iterable[Any]) -> BaseDistribution:
    """One of these values."""
    return CategoricalDistribution(list(values))


def choices_in(kind: BaseDistribution | None) -> tuple[Any, ...]:
    """The choices of a categorical parameter; of another, or of none, nothing."""
    return tuple(kind.choices) if isinstance(kind, CategoricalDistribution) else ()


def space_text(title: str, base: Mapping[str, Any], kinds: Kinds) -> str:
    """The text of a space file.

    Args:
        title: what it is, a sentence.
        base: settings that all trials share; what the first trial has of those that are searched.
        kinds: what is searched.
    """
    fixed = "".join(f"    {name!r}: {value!r},\n" for name, value in sorted(base.items()))
    asked = "".join(f"    {_suggested(name, kind)}\n" for name, kind in sorted(kinds.items()))
    return (
        f"{title!r}\n\nBASE = {{\n{fixed}}}\n\n\ndef search_space(trial):\n{asked}    return {{}}\n"
    )


def _suggested(name: str, kind: Any) -> str:
    """The line that draws a parameter."""
    if isinstance(kind, CategoricalDistribution):
        return f"trial.suggest_categorical({name!r}, {list(kind.choices)!r})"
    drawn = "int" if isinstance(kind, IntDistribution) else "float"
    ends = f"{name!r}, {kind.low!r}, {kind.high!r}, step={kind.step!r}, log={kind.log!r}"
    return f"trial.suggest_{drawn}({ends})"
