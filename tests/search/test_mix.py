"""Mixes as search parameters: every multiset is one point."""

from collections import Counter
from math import comb

import optuna
import pytest

from ffl_ray.search import suggest_mix
from ffl_ray.search.mix import settings_from_params


def every_point(least: int, most: int, backbones: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All mixes that an exhaustive sampler proposes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.BruteForceSampler())
    found = []

    def objective(trial: optuna.Trial) -> float:
        suggest_mix(trial, num_branches=(least, most), backbones=backbones)
        found.append(settings_from_params(trial.params)["model.mix"])
        return 0.0

    study.optimize(objective)
    return found


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("least", "most", "backbones"),
    [(2, 4, ("a", "b", "c")), (2, 2, ("b", "a")), (3, 5, ("a",)), (2, 3, ("d", "c", "b", "a"))],
)
def test_every_multiset_is_proposed_by_exactly_one_point(
    least: int, most: int, backbones: tuple[str, ...]
) -> None:
    found = every_point(least, most, backbones)

    kinds = len(backbones)
    assert len(found) == sum(comb(n + kinds - 1, n) for n in range(least, most + 1))
    assert Counter(found).most_common(1)[0][1] == 1
    assert all(mix == tuple(sorted(mix)) and least <= len(mix) <= most for mix in found)


def test_the_returned_mix_is_the_one_in_the_parameters() -> None:
    trial = optuna.trial.FixedTrial({"num_branches": 3, "mix.a": 1, "mix.b": 2})

    mix = suggest_mix(trial, num_branches=(2, 4), backbones=("b", "a"))

    assert mix == ("a", "b", "b")
    assert settings_from_params(trial.params) == {"model.mix": mix}


def test_other_parameters_pass_through() -> None:
    params = {"distill.temperature": 2.0, "num_branches": 2, "mix.a": 2}

    assert settings_from_params(params) == {"distill.temperature": 2.0, "model.mix": ("a", "a")}


@pytest.mark.parametrize("bounds", [(1, 3), (4, 3), (0, 0)])
def test_impossible_branch_counts_are_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="2 <= least <= most, not"):
        suggest_mix(optuna.trial.FixedTrial({}), num_branches=bounds, backbones=("a",))


def test_a_mix_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one backbone"):
        suggest_mix(optuna.trial.FixedTrial({}), num_branches=(2, 3), backbones=())
