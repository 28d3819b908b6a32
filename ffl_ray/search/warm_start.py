"""A warm start: the trials of another study, where the spaces overlap.

A sampler that knows them makes the first `startup_trials` proposals in place of random ones: first
the other study's best point, then what TPE draws from all that it holds. Its values are never mixed
with this study's: they may come from other data or other lengths of training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import StudyError
from ffl_ray.results.guard import understood
from ffl_ray.results.history import distributions_of
from ffl_ray.results.schema import params_of
from ffl_ray.results.storage.storage import Storage

FILE = "warm_start.json"
PROBES = 64
Suggest = Callable[[optuna.Trial], object]


class PriorTrial(NamedTuple):
    """One trial of the other study, cut down to the parameters that both spaces have.

    Attributes:
        params: by name.
        score: its first objective; more is better.
    """

    params: dict[str, Any]
    score: float


class WarmStart(NamedTuple):
    """The trials of another study, and the ranges that this space gives their parameters."""

    trials: tuple[PriorTrial, ...]
    distributions: dict[str, BaseDistribution]

    def suggest(self, suggest: Suggest, search: SearchConfig, number: int) -> dict[str, Any]:
        """The parameters of the trial of this number, drawn from what the other study knows."""
        seed = (search.seed * 100_003 + number) % 2**32
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in self.trials:
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.COMPLETE,
                    value=trial.score,
                    params=trial.params,
                    distributions={name: self.distributions[name] for name in trial.params},
                )
            )
        if number == 0:
            study.enqueue_trial(max(self.trials, key=lambda trial: trial.score).params)
        asked = study.ask()
        suggest(asked)
        return asked.params

    def dump(self) -> bytes:
        """The warm start as JSON."""
        kinds = {n: json.loads(distribution_to_json(d)) for n, d in self.distributions.items()}
        trials = [trial._asdict() for trial in self.trials]
        return json.dumps({"distributions": kinds, "lessons": trials}).encode()

    @classmethod
    def load(cls, data: bytes) -> WarmStart:
        """The warm start that was dumped."""
        found = json.loads(data)
        kinds = distributions_of(json.dumps(found["distributions"]))
        trials = tuple(
            PriorTrial(params_of(json.dumps(one["params"])), float(one["score"]))
            for one in found["lessons"]
        )
        for params, _ in trials:
            wrong = [name for name, value in params.items() if not _holds(kinds[name], value)]
            if wrong:
                raise ValueError(f"{wrong[0]} can't be {params[wrong[0]]!r}")
        return cls(trials, kinds)


def warm_start_from(other: optuna.Study, suggest: Suggest, name: str) -> WarmStart:
    """A warm start from a study's ended trials, in the parameters that both spaces have.

    Args:
        suggest: the new space.
        name: of the other study, for the message.

    Raises:
        StudyError: no ended trial of it has a parameter of the space in its range.
    """
    ranges = _ranges(suggest)
    sign = 1 if other.directions[0] == optuna.study.StudyDirection.MAXIMIZE else -1
    trials = []
    for trial in other.get_trials(deepcopy=False):
        params = {n: v for n, v in trial.params.items() if _fits(ranges.get(n, ()), v)}
        score = _score(trial)
        if params and score is not None:
            trials.append(PriorTrial(params, sign * score))
    if not trials:
        theirs = sorted({name for trial in other.trials for name in trial.params})
        raise StudyError(
            f"search.warm_start must name a study with ended trials whose parameters this space "
            f"has in its ranges; {name} has {', '.join(theirs) or 'none'}, and the space has "
            f"{', '.join(sorted(ranges))}"
        )
    return WarmStart(tuple(trials), {name: _widest(kinds) for name, kinds in ranges.items()})


def warm_start_of(
    storage: Storage, search: SearchConfig, make: Callable[[str], WarmStart]
) -> WarmStart | None:
    """The study's warm start: the one that is kept in its folder, or a new one; None without.

    Args:
        storage: of the study that begins.
        make: from the setting search.warm_start to a warm start.
    """
    if search.warm_start is None:
        return None
    kept = storage.read(FILE)
    if kept is None:
        return make(search.warm_start)
    with understood(f"{storage.location}/{FILE}"):
        return WarmStart.load(kept)


def keep_warm_start(storage: Storage, warm_start: WarmStart | None) -> None:
    """Keep a warm start with its study: the other one may change, or go."""
    if warm_start is not None and not storage.exists(FILE):
        storage.write(FILE, warm_start.dump())


def _score(trial: optuna.trial.FrozenTrial) -> float | None:
    """Its first objective at the end, or where it was stopped."""
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    values: Mapping[int, float] = trial.intermediate_values
    if trial.state == TrialState.PRUNED and values:
        return values[max(values)]
    return None


def _ranges(suggest: Suggest) -> dict[str, list[BaseDistribution]]:
    """Every distribution under which each parameter of a space is met."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: dict[str, list[BaseDistribution]] = {}
    for _ in range(PROBES):
        trial = study.ask()
        suggest(trial)
        for name, kind in trial.distributions.items():
            if kind not in found.setdefault(name, []):
                found[name].append(kind)
    return found


def _fits(kinds: Sequence[BaseDistribution], value: Any) -> bool:
    return any(_holds(kind, value) for kind in kinds)


def _holds(kind: BaseDistribution, value: Any) -> bool:
    """Whether Optuna takes a trial with this value under this distribution."""
    try:
        optuna.trial.create_trial(value=0.0, params={"x": value}, distributions={"x": kind})
    except ValueError:
        return False
    return True


def _widest(kinds: Sequence[BaseDistribution]) -> BaseDistribution:
    """The union of ranges of one parameter."""
    first = kinds[0]
    if isinstance(first, optuna.distributions.IntDistribution):
        ints = [k for k in kinds if isinstance(k, optuna.distributions.IntDistribution)]
        low, high = min(k.low for k in ints), max(k.high for k in ints)
        return optuna.distributions.IntDistribution(low, high, log=first.log, step=first.step)
    if isinstance(first, optuna.distributions.FloatDistribution):
        floats = [k for k in kinds if isinstance(k, optuna.distributions.FloatDistribution)]
        low_f, high_f = min(k.low for k in floats), max(k.high for k in floats)
        return optuna.distributions.FloatDistribution(low_f, high_f, log=first.log, step=first.step)
    return first
