"""A budget: what fits is chosen by measured speed, what was set stays, too little is refused."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import StudyConfig
from ffl_ray.errors import PlanError
from ffl_ray.planning.budget import (
    FEWEST_STEPS_IN_ALL,
    Fit,
    Values,
    batch_size,
    chosen_before,
    ending_s,
    fit_budget,
    ladders_for,
    provisional,
)
from ffl_ray.planning.budget_time import BEGINNING_S, SearchTime, Spent
from ffl_ray.planning.cost import DataSize
from ffl_ray.planning.forecast import epochs_share
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.pruning import FEWEST_STEPS, pruning_advice
from ffl_ray.planning.throughput import Curve, Timed
from ffl_ray.search.points import points
from ffl_ray.search.rungs import fair, rung_epochs
from ffl_ray.search.space import FITTED, load_space, settle

FOLDER = load_space("folder")
MACS = dict(zip(FOLDER.ladders["search.backbones"], (20e6, 40e6, 90e6, 110e6), strict=True))
SPEED = Curve((Timed(1_000_000, 1 / 4000), Timed(1_000_000_000, 1 / 20)))
Named = dict[str, Any]


def settled(values: Values) -> StudyConfig:
    return settle(FOLDER, values)


def needed_s(values: Values, images: int) -> float:
    """Seconds of a search on two CPUs, by a rule of proportions."""
    macs = MACS[values["search.backbones"]] * (values["data.image_size"] / 32) ** 2
    epoch_s: float = 0.05 + images * values["data.fraction"] * macs / 2e10
    trials: int = values["search.num_samples"]
    epochs: int = values["optim.epochs"]
    return 20.0 + trials / 2 * epochs * epoch_s


def fit_of(budget_s: float, images: int, named: Named | None = None) -> Fit:
    """What a budget chooses on the folder's space."""
    named = named or {}
    study = settled({"search.budget_s": budget_s, **named})
    ladders = ladders_for(FOLDER, study, named, images, 500)
    return fit_budget(ladders, lambda values: needed_s({**values, **named}, images), study)


@pytest.mark.parametrize("images", [300, 1_000, 8_000, 1_000_000])
@pytest.mark.parametrize("minutes", [20, 40, 120, 1_000])
def test_what_is_chosen_fits_and_nothing_can_be_raised(images: int, minutes: int) -> None:
    budget_s = 60.0 * minutes

    fit = fit_of(budget_s, images)

    assert fit.expected_s == needed_s(fit.values, images) <= budget_s
    ladders = ladders_for(FOLDER, settled({}), {}, images, 500)
    for name, values in ladders.items():
        more = values[values.index(fit.values[name]) + 1 :][:1]
        known = next(one for one in fit.chosen if one.name == name)
        if more:
            assert budget_s < needed_s({**fit.values, name: more[0]}, images) == known.more_s
        else:
            assert (known.more, known.more_s) == ("", None)


def test_more_time_never_makes_the_whole_smaller_and_equal_speeds_choose_alike() -> None:
    ladders = ladders_for(FOLDER, settled({}), {}, 8_000, 500)

    fits = [fit_of(60.0 * minutes, 8_000) for minutes in (5, 10, 20, 40, 120, 1_000)]

    heights = [
        sum(ladders[name].index(value) for name, value in fit.values.items()) for fit in fits
    ]
    assert heights == sorted(heights)
    assert fit_of(600.0, 8_000) == fits[1]


def test_what_is_set_stays_and_the_rest_is_fitted_around_it() -> None:
    free = fit_of(1_200.0, 8_000)

    fit = fit_of(1_200.0, 8_000, {"optim.epochs": 60, "search.num_samples": 20})

    assert fit.values.keys() == free.values.keys() - {"optim.epochs", "search.num_samples"}
    assert fit.expected_s <= 1_200.0
    assert prod(ladder_place(fit, n) for n in fit.values) < prod(
        ladder_place(free, n) for n in fit.values
    )


def ladder_place(fit: Fit, name: str) -> int:
    return 1 + [*FOLDER.ladders[name]].index(fit.values[name])


@pytest.mark.parametrize("named", [{}, {"optim.epochs": 300}, {"search.num_samples": 200}])
def test_too_short_a_budget_is_refused_with_one_that_works(named: Named) -> None:
    with pytest.raises(PlanError, match=r"--budget must be at least \S+ here.*, not 9s") as refused:
        fit_of(9.0, 8_000, named)

    text = str(refused.value)
    for name, value in named.items():
        assert f"{name}={value}" in text
    study = settled({"search.budget_s": text.split()[5]})
    least = study.search.budget_s
    assert least is not None
    assert fit_of(least, 8_000, named).values
    with pytest.raises(PlanError):
        fit_of((least - 30) / 1.06, 8_000, named)


@pytest.mark.parametrize("images", [150, 700, 2_500, 20_000])
def test_trials_are_judged_after_they_learned_at_every_length_that_may_be_chosen(
    images: int,
) -> None:
    ladders = ladders_for(FOLDER, settled({}), {}, images, 500)
    batch = batch_size(settled({}), FOLDER.base, images)

    for epochs in ladders["optim.epochs"]:
        study = settled({"optim.epochs": epochs, "optim.batch_size": batch})
        rungs = rung_epochs(study.search, epochs)
        assert rungs
        assert rungs[0] >= fair(study.training).epochs
        if epochs < max(FOLDER.ladders["optim.epochs"]):  # type: ignore[type-var]
            assert epochs * -(-images // batch) >= FEWEST_STEPS_IN_ALL
            assert rungs[0] * -(-images // batch) >= FEWEST_STEPS
            sampled = list(points(FOLDER, study.training, 3))
            assert pruning_advice(sampled, study.search, images, 10) == []


def test_a_share_is_taken_only_of_many_images_and_sides_end_at_the_images_own() -> None:
    few, many = (ladders_for(FOLDER, settled({}), {}, images, 40) for images in (1_500, 20_000))

    assert few["data.fraction"] == [1.0]
    assert many["data.fraction"] == [0.05, 0.1, 0.2, 0.5, 1.0]
    assert few["data.image_size"] == [16, 24, 32]
    assert "data.image_size" not in ladders_for(FOLDER, settled({}), {}, 1_500, None)


def test_another_space_is_lowered_and_never_raised_but_in_its_trials() -> None:
    space = load_space(FOUR_DIMENSIONS)
    study = settle(space, {})

    ladders = ladders_for(space, study, {}, 1_151, None)

    assert ladders["optim.epochs"] == [12]
    assert ladders["data.fraction"] == [1.0]
    assert ladders["search.num_samples"][-1] > study.search.num_samples
    assert "search.backbones" not in ladders


@pytest.mark.parametrize(("images", "size"), [(700, 32), (5_000, 64), (50_000, 128)])
def test_a_batch_is_smaller_where_there_are_few_images_unless_it_is_set(
    images: int, size: int
) -> None:
    assert batch_size(StudyConfig(), set(), images) == size
    assert batch_size(StudyConfig(), {"optim.batch_size"}, images) == 128


def test_a_study_goes_on_with_what_was_chosen_and_more_time_means_more_trials() -> None:
    values = {"search.num_samples": 12, "optim.epochs": 20}
    description = {"settings": {"search.budget_s": 600.0}, "budget": {"values": values}}

    assert chosen_before(description, 600.0) == values
    assert chosen_before(description, 300.0) == values
    assert chosen_before(description, 1_200.0) == {**values, "search.num_samples": 24}
    for other in (None, 3, {}, {"values": "many"}):
        assert chosen_before({"settings": {}, "budget": other}, 600.0) == {}


def test_a_search_is_looked_at_under_settings_that_may_be_chosen() -> None:
    assert provisional(FOLDER, {}) == {"search.num_samples": 40, "data.image_size": 16}
    assert provisional(load_space(FOUR_DIMENSIONS), {"search.num_samples": 3}) == {}
    assert flatten(settled(provisional(FOLDER, {}))).keys() >= set(FITTED)


def test_the_time_of_a_search_is_that_of_its_forecast_and_what_lies_around() -> None:
    few: Named = {"search.backbones": "resnet8", "data.image_size": 16, "search.num_samples": 10}
    few |= {"search.plain_baseline": False}
    small = SearchTime(FOLDER, settled, Plan(2, 1, 1, 0), DataSize(10, 800, 200), Spent(20.0, 0.01))
    small.known_speed(SPEED)
    other: dict[str, Named] = {
        "as it is": {},
        "twice the trials": {"search.num_samples": 20},
        "twice the length": {"optim.epochs": 60},
        "half of the data": {"data.fraction": 0.5},
        "larger images": {"data.image_size": 32},
        "larger networks": {"search.backbones": "resnet20"},
    }
    took = {name: small({**few, **changes}) for name, changes in other.items()}

    around = 20.0 + BEGINNING_S + ending_s(20.0)
    decoding = 1_000 * 0.01
    trainings = took["as it is"] - around - decoding
    assert trainings > 0
    assert took["twice the trials"] - around - decoding == pytest.approx(2 * trainings, rel=0.05)
    assert took["twice the length"] - around - decoding == pytest.approx(2 * trainings, rel=0.05)
    assert took["half of the data"] < around + (decoding + trainings) * 0.6
    assert took["as it is"] < took["larger images"]
    assert took["as it is"] < took["larger networks"]


def test_the_plain_baseline_is_counted_with_the_length_of_the_defaults_unpruned() -> None:
    few = {"search.backbones": "resnet8", "data.image_size": 16, "search.num_samples": 10}
    data, around = DataSize(10, 800, 200), 20.0 + BEGINNING_S + ending_s(20.0)
    searches = {at_once: Plan(at_once, 1, 1, 0) for at_once in (1, 10)}
    took: dict[tuple[int, bool], float] = {}
    for at_once, plan in searches.items():
        needed = SearchTime(FOLDER, settled, plan, data, Spent(20.0))
        needed.known_speed(SPEED)
        for plain in (True, False):
            took[at_once, plain] = needed({**few, "search.plain_baseline": plain}) - around

    share = epochs_share(settled(few).optim.epochs, settled(few).search)
    cheapest = took[1, False] / 10 / share  # of ten trials of one, were none of them pruned
    longer = took[1, True] - took[1, False]
    assert 0.3 < share < 0.7
    assert longer == pytest.approx(cheapest * (1 - share), rel=0.5)
    assert took[10, True] > 1.2 * took[10, False]  # it takes longer than all others at once


def test_speed_between_measured_networks_is_interpolated_and_beyond_them_proportional() -> None:
    find = SPEED.seconds_per_image

    assert find(1_000_000) == pytest.approx(1 / 4000)
    assert find(500_000) == pytest.approx(1 / 4000)
    assert 1 / 4000 < find(30_000_000) < 1 / 20
    assert find(2_000_000_000) == pytest.approx(1 / 10)


@pytest.mark.parametrize("began_with", [0.0, float("nan"), 5e-324, -1.0])
def test_a_study_of_somebody_else_sets_nothing_but_what_a_budget_chooses(began_with: float) -> None:
    own = {"search.num_samples": 12, "optim.batch_size": 32}
    foreign = {"data.download": True, "distill.method": "their:code", "search.track": "wandb"}
    description = {"settings": {"search.budget_s": began_with}, "budget": {"values": own | foreign}}

    found = chosen_before(description, 600.0)

    assert found.keys() == own.keys()
    assert found["search.num_samples"] >= 12
