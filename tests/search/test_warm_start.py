"""Warm start: another study's trials teach the first proposals, and no more."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import StudyError
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.mix import suggest_mix
from ffl_ray.search.warm_start import (
    FILE,
    WarmStart,
    keep_warm_start,
    warm_start_from,
    warm_start_of,
)

SEARCH = SearchConfig(startup_trials=6)


def space(trial: Any) -> None:
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical("fusion.design", ["sum", "gated"])
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)


def other_space(trial: Any) -> None:
    space(trial)
    trial.suggest_float("optim.lr", 0.01, 0.1)


def value_of(params: dict[str, Any]) -> float:
    temperature = float(params["distill.temperature"])
    return float(params["fusion.design"] == "gated") - abs(temperature - 2) / 4


def searched(direction: Any = "maximize", trials: int = 40) -> optuna.Study:
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=1))
    sign = 1 if direction == "maximize" else -1
    for index in range(trials):
        trial = study.ask()
        other_space(trial)
        if index % 3 == 0:
            trial.report(sign * value_of(trial.params) - sign, step=1)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, sign * value_of(trial.params))
    return study


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_first_proposals_are_better_than_random_ones(direction: str) -> None:
    study = searched(direction)

    warm_start = warm_start_from(study, space, "other")
    proposed = [warm_start.suggest(space, SEARCH, number) for number in range(6)]

    random = [value_of(trial.params) for trial in study.trials]
    values = [value_of(params) for params in proposed]
    assert sum(values) / 6 > sum(random) / len(random) + 0.3
    assert values[0] == max(random)
    assert all("optim.lr" not in params for params in proposed)


def test_the_same_seed_and_number_give_the_same_proposal() -> None:
    warm_start = WarmStart.load(warm_start_from(searched(), space, "other").dump())

    again = warm_start_from(searched(), space, "other")

    for number in range(4):
        assert warm_start.suggest(space, SEARCH, number) == again.suggest(space, SEARCH, number)
    assert again.suggest(space, SEARCH, 1) != again.suggest(space, SEARCH, 2)


def test_values_outside_this_spaces_ranges_teach_nothing() -> None:
    def narrow(trial: Any) -> None:
        trial.suggest_float("distill.temperature", 1.0, 2.0)
        trial.suggest_categorical("fusion.design", ["sum", "attention"])

    warm_start = warm_start_from(searched(), narrow, "other")

    for trial in warm_start.trials:
        assert 1 <= trial.params.get("distill.temperature", 1) <= 2
        assert trial.params.get("fusion.design", "sum") == "sum"
    assert set(warm_start.suggest(narrow, SEARCH, 0)) == {"distill.temperature", "fusion.design"}


def test_a_study_without_overlap_is_refused() -> None:
    def elsewhere(trial: Any) -> None:
        trial.suggest_float("optim.momentum", 0.5, 0.9)

    with pytest.raises(
        StudyError, match=r"other has .*fusion.design.*the space has optim.momentum"
    ):
        warm_start_from(searched(), elsewhere, "other")


def test_a_study_without_ended_trials_is_refused() -> None:
    with pytest.raises(StudyError, match="other has none"):
        warm_start_from(optuna.create_study(), space, "other")


def test_a_warm_start_is_kept_with_its_study(tmp_path: Path) -> None:
    search = SearchConfig(warm_start="other", startup_trials=6)
    storage = Storage(str(tmp_path))
    made = warm_start_of(storage, search, lambda name: warm_start_from(searched(), space, name))
    keep_warm_start(storage, made)

    def gone(name: str) -> WarmStart:
        raise AssertionError(f"{name} was asked again")

    kept = warm_start_of(storage, search, gone)

    assert (tmp_path / FILE).exists()
    assert kept == made
    assert warm_start_of(storage, SearchConfig(), gone) is None
