"""The distributions of a space's parameters, found by asking for points, and values in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import FrozenTrial

from ffl_ray.config.overrides import shown
from ffl_ray.search.space_trial import as_space_trial

PROBES = 64
Suggest = Callable[[optuna.Trial], object]


def found_distributions(suggest: Suggest) -> dict[str, list[BaseDistribution]]:
    """Every distribution under which each parameter of a space is met, at random points."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return gathered(_distributions(study, suggest) for _ in range(PROBES))


def _distributions(study: optuna.Study, suggest: Suggest) -> Mapping[str, BaseDistribution]:
    trial = as_space_trial(study.ask())
    suggest(trial)
    return trial.distributions


def gathered(
    trials: Iterable[Mapping[str, BaseDistribution]],
) -> dict[str, list[BaseDistribution]]:
    """The distinct distributions of each parameter over trials."""
    found: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, kind in trial.items():
            if kind not in found.setdefault(name, []):
                found[name].append(kind)
    return found


def widest(kinds: Sequence[BaseDistribution]) -> BaseDistribution:
    """The distribution that holds all of these, of one parameter."""
    first: Any = kinds[0]
    if isinstance(first, CategoricalDistribution):
        choices: Any = kinds
        return CategoricalDistribution(
            list(dict.fromkeys(choice for kind in choices for choice in kind.choices))
        )
    numbers: Any = kinds
    low, high = min(k.low for k in numbers), max(k.high for k in numbers)
    make = IntDistribution if isinstance(first, IntDistribution) else FloatDistribution
    return make(low, high, log=first.log, step=first.step)


def holds(kind: BaseDistribution, value: Any) -> bool:
    """Whether Optuna takes a trial with this value under this distribution."""
    try:
        optuna.trial.create_trial(value=0.0, params={"x": value}, distributions={"x": kind})
    except (ValueError, OverflowError):
        return False
    return True


def nearest_value(kind: Any, value: Any) -> Any:
    """The value of a distribution that is nearest to another; the first one where none is near."""
    if isinstance(kind, CategoricalDistribution):
        return value if value in kind.choices else kind.choices[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return kind.low
    inside = min(max(value, kind.low), kind.high)
    if kind.step is None:
        return float(inside)
    return round(kind.low + round((inside - kind.low) / kind.step) * kind.step, 12)


def read_value(kinds: Sequence[BaseDistribution], text: str) -> Any:
    """The value of a parameter that a text means.

    Raises:
        ValueError: it means none that the parameter can have.
    """
    for kind in kinds:
        for value in _readings(kind, text.strip()):
            if holds(kind, value):
                return value
    raise ValueError(f"must be {range_text(kinds)}")


def _readings(kind: BaseDistribution, text: str) -> Iterable[Any]:
    if isinstance(kind, CategoricalDistribution):
        return [choice for choice in kind.choices if shown(choice) == text]
    number = int if isinstance(kind, IntDistribution) else float
    try:
        return [number(text)]
    except ValueError:
        return []


def range_text(kinds: Sequence[BaseDistribution]) -> str:
    """The range of one parameter in words."""
    whole: Any = widest(kinds)
    if isinstance(whole, CategoricalDistribution):
        return ", ".join(shown(choice) for choice in whole.choices)
    log = ", logarithmic" if whole.log else ""
    return f"{shown(whole.low)} to {shown(whole.high)}{log}"


def drawn_columns(trial: FrozenTrial) -> dict[str, str]:
    """A trial's drawn parameters and their distributions: columns of its row, each as JSON."""
    distributions = {
        name: json.loads(distribution_to_json(distribution))
        for name, distribution in trial.distributions.items()
    }
    return {"params": json.dumps(trial.params), "distributions": json.dumps(distributions)}
