"""Mixes as search parameters: every multiset is one point, in ranges that never move."""

import json
from collections import Counter
from itertools import product
from math import comb
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from ffl_ray.config.settings import SearchConfig
from ffl_ray.results.history import distributions_of
from ffl_ray.search import suggest_mix
from ffl_ray.search.distributions import gathered
from ffl_ray.search.grid import every_point
from ffl_ray.search.mix import (
    multiset,
    nearest_multiset,
    num_multisets,
    settings_from_params,
)
from ffl_ray.search.optuna_private import with_whole_mixes
from ffl_ray.search.points import points
from ffl_ray.search.samplers import new_sampler
from ffl_ray.search.space import bundled_folder, load_space, settle
from ffl_ray.search.space_trial import as_space_trial

BUNDLED = sorted(path.stem for path in bundled_folder().glob("*.py"))


@pytest.mark.parametrize(
    ("least", "most", "backbones"),
    [(2, 4, "abc"), (2, 2, "ba"), (3, 5, "a"), (2, 3, "dcba"), (2, 4, "abcdefghij")],
)
def test_every_multiset_is_exactly_one_point(least: int, most: int, backbones: str) -> None:
    found = [
        settings_from_params(params)["model.mix"]
        for params in every_point(
            lambda trial: suggest_mix(trial, num_branches=(least, most), backbones=backbones)
        )
    ]

    kinds = len(backbones)
    assert len(found) == sum(comb(n + kinds - 1, n) for n in range(least, most + 1))
    assert len(set(found)) == len(found)
    assert all(mix == tuple(sorted(mix)) and least <= len(mix) <= most for mix in found)


@pytest.mark.parametrize(("size", "kinds"), [(2, 1), (3, 3), (4, 2), (2, 7)])
def test_ranks_count_through_the_multisets_of_a_size(size: int, kinds: int) -> None:
    found = [multiset(rank, size, kinds) for rank in range(num_multisets(size, kinds))]

    every = [list(p) for p in product(range(size + 1), repeat=kinds) if sum(p) == size]
    assert sorted(found) == sorted(every)


def test_the_nearest_multiset_is_the_one_that_a_search_of_all_finds() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        size, kinds = int(generator.integers(2, 6)), int(generator.integers(1, 5))
        counts = generator.integers(0, 7, kinds).astype(float)

        nearest = nearest_multiset(size, counts.tolist())

        every = [multiset(rank, size, kinds) for rank in range(num_multisets(size, kinds))]
        away = [float(np.sum((np.array(one) - counts) ** 2)) for one in every]
        assert nearest in every
        assert np.sum((np.array(nearest) - counts) ** 2) == pytest.approx(min(away))


def test_a_multiset_is_its_own_nearest_and_ties_prefer_no_backbone() -> None:
    assert nearest_multiset(3, [0, 2, 1]) == [0, 2, 1]
    spare = Counter(
        tuple(nearest_multiset(3, [a, b, c])) for a, b, c in product(range(5), repeat=3)
    )
    first, second, third = (
        sum(mix[place] * count for mix, count in spare.items()) for place in range(3)
    )
    assert max(first, second, third) < 1.15 * min(first, second, third)


def test_at_random_sizes_are_alike_and_then_the_multisets_of_a_size() -> None:
    study = optuna.create_study()
    drawn: Counter[tuple[str, ...]] = Counter()
    for number in range(3000):
        study.sampler = new_sampler(SearchConfig(sampler="random"), number)
        trial = as_space_trial(study.ask())
        drawn[suggest_mix(trial, num_branches=(2, 4), backbones=("a", "b", "c"))] += 1

    sizes = Counter(len(mix) for mix in drawn.elements())
    assert len(drawn) == 6 + 10 + 15
    assert all(abs(count - 1000) < 4 * (3000 * 2 / 9) ** 0.5 for count in sizes.values())
    for mix, count in drawn.items():
        expected = 1000 / num_multisets(len(mix), 3)
        assert abs(count - expected) < 5 * expected**0.5


@pytest.mark.parametrize("name", BUNDLED)
def test_optuna_models_all_of_a_bundled_space_jointly(name: str) -> None:
    """All that every point has; a range that depends on a choice is that of another parameter."""
    space = load_space(name)
    study = optuna.create_study()
    found = list(points(space, settle(space, {}).training, 30))
    for point in found:
        study.add_trial(
            optuna.trial.create_trial(
                value=0.0, params=point.params, distributions=point.distributions
            )
        )
    ranges = gathered(point.distributions for point in found)

    trial = study.ask()
    asked = new_sampler(SearchConfig(startup_trials=2), 0).infer_relative_search_space(
        study, study.trials[trial.number]
    )

    in_all = {key for key in ranges if all(key in point.params for point in found)}
    moving = {key for key, kinds in ranges.items() if len(kinds) > 1}
    single = {key for key, kinds in ranges.items() if kinds[0].single()}
    assert set(asked) == in_all - moving - single
    assert not any(key == "num_branches" or key.startswith("mix.") for key in moving)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2"])
def test_a_sampler_finds_the_best_of_hundreds_of_mixes(sampler: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = SearchConfig(sampler=sampler, startup_trials=6, seed=1)
    study = optuna.create_study(direction="maximize")
    values = []
    for number in range(60):
        study.sampler = new_sampler(search, number)
        trial = study.ask()
        mix = suggest_mix(as_space_trial(trial), num_branches=(2, 4), backbones="abcdefgh")
        values.append(mix.count("b") + 0.5 * mix.count("e") - mix.count("g"))
        study.tell(trial, values[-1])

    half = len(values) // 2
    assert sum(values[half:]) / half > sum(values[:6]) / 6 + 0.5
    for told in study.trials:
        counts = [value for key, value in told.params.items() if key.startswith("mix.")]
        assert sum(counts) == told.params["num_branches"]


def test_a_gaussian_process_judges_the_mix_that_a_proposal_becomes() -> None:
    """What lies between the multisets has the value of the nearest one."""
    space = {
        "mix.a": IntDistribution(0, 4),
        "mix.b": IntDistribution(0, 4),
        "num_branches": IntDistribution(2, 4),
        "x": FloatDistribution(0, 1),
    }
    columns = {
        "mix.a": np.array([4.0, 0.0, 1.0]),
        "mix.b": np.array([0.0, 1.0, 1.0]),
        "num_branches": np.array([2.0, 3.0, 2.0]),
        "x": np.array([0.1, 0.2, 0.3]),
    }

    whole = with_whole_mixes(columns, space)

    assert whole["mix.a"].tolist() == [2, 1, 1]
    assert whole["mix.b"].tolist() == [0, 2, 1]
    assert whole["x"].tolist() == [0.1, 0.2, 0.3]


def test_counts_of_the_version_before_have_the_ranges_of_today() -> None:
    kinds = {
        "num_branches": IntDistribution(2, 4),
        "mix.a": IntDistribution(0, 3),
        "mix.b": IntDistribution(2, 2),
        "mixed": IntDistribution(1, 2),
    }
    text = json.dumps({name: json.loads(distribution_to_json(k)) for name, k in kinds.items()})

    assert distributions_of(text) == kinds | {
        "mix.a": IntDistribution(0, 4),
        "mix.b": IntDistribution(0, 4),
    }


def test_a_number_of_branches_that_is_a_choice_bounds_nothing() -> None:
    kinds = {"num_branches": CategoricalDistribution((2, 4)), "mix.a": IntDistribution(1, 3)}
    text = json.dumps({name: json.loads(distribution_to_json(k)) for name, k in kinds.items()})

    assert distributions_of(text) == kinds


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
