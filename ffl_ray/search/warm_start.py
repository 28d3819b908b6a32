"""A warm start: the trials of other studies, where the spaces overlap.

A sampler that knows them makes the first `startup_trials` proposals in place of random ones: first
each other study's best point, then what TPE draws from all that one of them holds. Its values are
never mixed with this study's: they may come from other data or other lengths of training. So each
study is believed as far as it predicts the order of this one's trials.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import StudyError
from ffl_ray.results.guard import understood
from ffl_ray.results.history import distributions_of, optuna_study
from ffl_ray.results.schema import params_of
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.distributions import Suggest, found_distributions, holds, widest
from ffl_ray.search.mix import NUM_BRANCHES, PREFIX

FILE = "warm_start.json"
ALL = "all"
# A study counts as if it had ordered so many pairs of this one's trials rightly before it began.
BELIEVED_PAIRS = 4
# A trial tells of points about this far away, as a share of every range.
REACH = 0.2


class PriorTrial(NamedTuple):
    """One trial of another study, cut down to the parameters that both spaces have.

    Attributes:
        params: by name.
        score: its first objective; more is better.
    """

    params: dict[str, Any]
    score: float


class WarmStart(NamedTuple):
    """The trials of other studies, and the ranges that this space gives their parameters.

    Attributes:
        studies: the trials of each.
        distributions: by parameter.
    """

    studies: tuple[tuple[PriorTrial, ...], ...]
    distributions: dict[str, BaseDistribution]

    def best_points(self) -> list[dict[str, Any]]:
        """The best point of each study."""
        return [max(trials, key=lambda trial: trial.score).params for trials in self.studies]

    def weights(self, seen: Sequence[PriorTrial]) -> list[float]:
        """How far each study is believed, from 0 to 1.

        As in Feurer et al. 2018 (arXiv:1802.02219) by the pairs of this study's trials that it
        orders rightly: 0 where it does so with every second pair, 1 with all.

        Args:
            seen: the completed trials of this study.
        """
        return [self._weight(trials, seen) for trials in self.studies]

    def _weight(self, trials: Sequence[PriorTrial], seen: Sequence[PriorTrial]) -> float:
        scores = [(self._predicted(trials, one), one.score) for one in seen]
        pairs = [(a, b) for a, b in combinations(scores, 2) if a[1] != b[1]]
        right = sum((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in pairs)
        share = (right + BELIEVED_PAIRS) / (len(pairs) + BELIEVED_PAIRS)
        return max(0.0, 2 * share - 1)

    def _predicted(self, trials: Sequence[PriorTrial], point: PriorTrial) -> float:
        """The mean score of a study's trials, the nearest to a point counting most."""
        scores = np.array([trial.score for trial in trials])
        distances = np.array([self._distance(trial.params, point.params) for trial in trials])
        weights = np.exp(-distances / (2 * REACH**2)) + 1e-9
        return float(weights @ scores / weights.sum())

    def _distance(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        """Mean squared difference over the common parameters, each in shares of its range."""
        names = one.keys() & other.keys() & self.distributions.keys()
        if not names:
            return 1.0
        return sum(
            _difference(self.distributions[name], one[name], other[name]) ** 2 for name in names
        ) / len(names)

    def suggest(
        self,
        suggest: Suggest,
        search: SearchConfig,
        number: int,
        seen: Sequence[PriorTrial] = (),
    ) -> dict[str, Any]:
        """The parameters of the trial of this number, drawn from what one of the studies knows.

        Which one is drawn by their weights; none may be: then there are no parameters.

        Args:
            seen: the completed trials of this study.
        """
        seed = (search.seed * 100_003 + number) % 2**32
        weights = np.array(self.weights(seen))
        generator = np.random.default_rng(seed)
        if generator.random() >= weights.max(initial=0.0):
            return {}
        trials = self.studies[int(generator.choice(len(weights), p=weights / weights.sum()))]
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in trials:
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.COMPLETE,
                    value=trial.score,
                    params=trial.params,
                    distributions={name: self.distributions[name] for name in trial.params},
                )
            )
        asked = study.ask()
        suggest(asked)
        return asked.params

    def dump(self) -> bytes:
        """The warm start as JSON."""
        kinds = {n: json.loads(distribution_to_json(d)) for n, d in self.distributions.items()}
        studies = [[trial._asdict() for trial in trials] for trials in self.studies]
        return json.dumps({"distributions": kinds, "studies": studies}).encode()

    @classmethod
    def load(cls, data: bytes) -> WarmStart:
        """The warm start that was dumped, by this version or the one before."""
        found = json.loads(data)
        kinds = distributions_of(json.dumps(found["distributions"]))
        given = found["studies"] if "studies" in found else [found["lessons"]]
        studies = tuple(
            tuple(
                PriorTrial(params_of(json.dumps(one["params"])), float(one["score"]))
                for one in trials
            )
            for trials in given
        )
        for params, _ in (trial for trials in studies for trial in trials):
            wrong = [name for name, value in params.items() if not holds(kinds[name], value)]
            if wrong:
                raise ValueError(f"{wrong[0]} can't be {params[wrong[0]]!r}")
        if not studies or not all(studies):
            raise ValueError("a study without trials")
        return cls(studies, kinds)


def _difference(kind: Any, one: Any, other: Any) -> float:
    """Of two values of a parameter, in shares of its range; of two choices 0 or 1."""
    if isinstance(kind, optuna.distributions.CategoricalDistribution) or kind.single():
        return float(one != other)
    scaled = np.log if kind.log else np.asarray
    low, high, a, b = scaled([kind.low, kind.high, one, other])
    return float((a - b) / (high - low))


def warm_start_from(other: optuna.Study, suggest: Suggest, name: str) -> WarmStart:
    """A warm start from a study's ended trials, in the parameters that both spaces have.

    Args:
        suggest: the new space.
        name: of the other study, for the message.

    Raises:
        StudyError: no ended trial of it has a parameter of the space in its range.
    """
    ranges = found_distributions(suggest)
    trials = _prior_trials(other, ranges)
    if not trials:
        theirs = sorted({name for trial in other.trials for name in trial.params})
        raise StudyError(
            f"search.warm_start must name a study with ended trials whose parameters this space "
            f"has in its ranges; {name} has {', '.join(theirs) or 'none'}, and the space has "
            f"{', '.join(sorted(ranges))}"
        )
    return WarmStart((trials,), {name: widest(kinds) for name, kinds in ranges.items()})


def _prior_trials(
    other: optuna.Study, ranges: Mapping[str, Sequence[BaseDistribution]]
) -> tuple[PriorTrial, ...]:
    sign = 1 if other.directions[0] == optuna.study.StudyDirection.MAXIMIZE else -1
    found = []
    for trial in other.get_trials(deepcopy=False):
        params, score = _common(trial.params, ranges), _score(trial)
        if params and score is not None:
            found.append(PriorTrial(params, sign * score))
    return tuple(found)


def _common(
    params: Mapping[str, Any], ranges: Mapping[str, Sequence[BaseDistribution]]
) -> dict[str, Any]:
    """The parameters that the space has in its ranges; of a mix all counts, or none."""
    counts = {name: 0 for name in ranges if name.startswith(PREFIX)}
    theirs = {n: count for n, count in params.items() if n.startswith(PREFIX) and count}
    whole = counts | theirs
    size = {NUM_BRANCHES: sum(whole.values())}
    same = whole.keys() == counts.keys() and size.items() <= params.items()
    if not theirs or not same or not _fits(ranges, whole | size):
        whole = {}
    others = {n: value for n, value in params.items() if not n.startswith(PREFIX)}
    return {n: v for n, v in others.items() if _fits(ranges, {n: v})} | whole


def _fits(ranges: Mapping[str, Sequence[BaseDistribution]], params: Mapping[str, Any]) -> bool:
    """Whether a space holds all of these values."""
    return all(any(holds(kind, value) for kind in ranges.get(n, ())) for n, value in params.items())


def warm_start_of(
    storage: Storage, search: SearchConfig, make: Callable[[Sequence[str]], WarmStart | None]
) -> WarmStart | None:
    """The study's warm start: the one that is kept in its folder, or a new one; None without.

    Args:
        storage: of the study that begins.
        make: from the setting search.warm_start to a warm start.
    """
    if not search.warm_start:
        return None
    kept = storage.read(FILE)
    if kept is None:
        return make(search.warm_start)
    with understood(f"{storage.location}/{FILE}"):
        return WarmStart.load(kept)


def warm_start_named(names: Sequence[str], storage: Storage, suggest: Suggest) -> WarmStart | None:
    """The warm start from these studies; None where `all` finds none.

    Args:
        names: of studies, by folder or by name beside this one; `all`: all of them that can teach.
        storage: of the study that begins.

    Raises:
        StudyError: one that is named can't be read, or can't teach.
    """
    found = [_teacher(name, storage, suggest) for name in names if name != ALL]
    if ALL in names:
        others = [name for name in Storage(storage.parent).names() if name != storage.name]
        for name in (name for name in others if name not in names):
            with contextlib.suppress(StudyError):
                found.append(_teacher(name, storage, suggest))
    if not found:
        return None
    studies = tuple(trials for one in found for trials in one.studies)
    return WarmStart(studies, found[0].distributions)


def _teacher(name: str, storage: Storage, suggest: Suggest) -> WarmStart:
    return warm_start_from(optuna_study(name, storage.parent), suggest, name)


def keep_warm_start(storage: Storage, warm_start: WarmStart | None) -> None:
    """Keep a warm start with its study: the other ones may change, or go."""
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
