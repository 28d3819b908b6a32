"""Warm start: another study's trials teach the first proposals, and no more."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from support.studies import make_study

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import StudyError
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.mix import suggest_mix
from ffl_ray.search.space_trial import as_space_trial
from ffl_ray.search.warm_start import (
    FILE,
    PriorTrial,
    WarmStart,
    keep_warm_start,
    warm_start_from,
    warm_start_named,
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
        other_space(as_space_trial(trial))
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
    completed = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    best = max(value_of(trial.params) for trial in completed)
    assert value_of(warm_start.best_points()[0]) == best
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

    for trial in warm_start.studies[0]:
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
    search = SearchConfig(warm_start=("other",), startup_trials=6)
    storage = Storage(str(tmp_path))
    made = warm_start_of(storage, search, lambda names: warm_start_from(searched(), space, *names))
    keep_warm_start(storage, made)

    def gone(names: Sequence[str]) -> WarmStart:
        raise AssertionError(f"{names} were asked again")

    kept = warm_start_of(storage, search, gone)

    assert (tmp_path / FILE).exists()
    assert kept == made
    assert warm_start_of(storage, SearchConfig(), gone) is None


def test_a_study_is_believed_as_far_as_it_predicts_this_one() -> None:
    right, wrong = warm_start_from(searched(), space, "a"), searched("minimize")
    wrong_trials = warm_start_from(wrong, space, "b").studies[0]
    opposed = tuple(PriorTrial(trial.params, -trial.score) for trial in wrong_trials)
    both = WarmStart((right.studies[0], opposed), right.distributions)
    seen = [PriorTrial(t.params, value_of(t.params)) for t in searched(trials=12).trials]

    assert both.weights([]) == [1.0, 1.0]
    assert both.weights(seen)[0] > 0.5
    assert both.weights(seen)[1] == 0
    alone = WarmStart((opposed,), right.distributions)
    assert alone.suggest(space, SEARCH, 1, seen) == {}


def test_of_a_mix_all_counts_are_taken_over_or_none() -> None:
    def narrower(trial: Any) -> None:
        suggest_mix(trial, num_branches=(2, 4), backbones=("resnet20", "resnet32"))

    found = warm_start_from(searched(), narrower, "other").studies[0]

    mixes = [trial.params for trial in found if "mix.resnet20" in trial.params]
    assert 0 < len(mixes) < len(found)
    for params in mixes:
        assert params["mix.resnet32"] == 0
        assert params["mix.resnet20"] == params["num_branches"]


def test_all_takes_every_study_beside_this_one_that_can_teach(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_study(tmp_path / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.json").write_text("{")
    make_study(tmp_path / "training", kind="train")
    storage = Storage(str(tmp_path / "new"))

    found = warm_start_named(["all"], storage, space)

    assert found is not None
    assert len(found.studies) == 2
    twice = warm_start_named(["one", "all"], storage, space)
    assert twice is not None
    assert len(twice.studies) == 2
    with pytest.raises(StudyError, match="broken"):
        warm_start_named(["broken"], storage, space)


def test_a_warm_start_of_the_version_before_is_read() -> None:
    made = warm_start_from(searched(), space, "other")
    kept = json.loads(made.dump())
    kept["lessons"] = kept.pop("studies")[0]

    assert WarmStart.load(json.dumps(kept).encode()) == made
