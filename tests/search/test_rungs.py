"""Rungs lie where what is searched has acted, and not behind half of the training."""

from __future__ import annotations

import pytest

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import SettingError
from ffl_ray.search.rungs import (
    Fair,
    check_rungs,
    fair,
    grace_epochs,
    rung_epochs,
    with_own_grace,
)
from ffl_ray.search.space import bundled_folder, load_space, settle
from ffl_ray.training.optimizer import learning_rate
from ffl_ray.training.schedules import cosine_lr


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Fair(80, 151)),
        ({"optim.lr_schedule": "cosine"}, Fair(80, 150)),
        ({"optim.lr_schedule": "linear"}, Fair(80, 150)),
        ({"optim.lr_schedule": "constant"}, Fair(80, 0)),
        ({"optim.lr_schedule": "constant", "optim.warmup": 0.1}, Fair(80, 30)),
        ({"optim.lr_schedule": "step", "optim.lr_milestones": ()}, Fair(80, 0)),
        ({"optim.lr_schedule": "cosine", "optim.epochs": 7}, Fair(2, 3)),
        ({"optim.lr_schedule": "cosine", "distill.ramp_up": 0.45}, Fair(135, 150)),
        ({"optim.lr_schedule": "cosine", "distill.method": "dml"}, Fair(0, 150)),
        ({"optim.lr_schedule": "cosine", "optim.epochs": 12}, Fair(4, 6)),
    ],
)
def test_a_trial_is_judged_when_the_ramp_up_has_ended_and_the_rate_has_fallen(
    changes: dict[str, object], expected: Fair
) -> None:
    assert fair(with_overrides(Config(), changes)) == expected


def test_a_cosine_has_fallen_to_half_just_then() -> None:
    first = fair(with_overrides(Config(), {"optim.lr_schedule": "cosine"})).lr

    assert cosine_lr(first, epochs=300, lr=1.0) <= 1 / 2 < cosine_lr(first - 1, epochs=300, lr=1.0)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.1])
def test_after_the_first_milestone_one_epoch_of_the_lower_rate_is_finished(warmup: float) -> None:
    config = with_overrides(Config(), {"optim.epochs": 30, "optim.warmup": warmup})
    last = fair(config).lr - 1

    assert learning_rate(config, last) < learning_rate(config, last - 1) == config.optim.lr


@pytest.mark.parametrize(
    ("grace", "factor", "epochs", "rungs"),
    [
        (0.1, 2, 300, [30, 60, 120]),
        (0.5, 3, 300, [150]),
        (0.51, 3, 300, []),
        (0.0, 3, 8, [1, 3]),
        (0.1, 1.6, 250, [25, 25 * 1.6, 25 * 1.6**2, 25 * 1.6**3]),  # to the last bit
    ],
)
def test_there_is_no_rung_behind_half(
    grace: float, factor: float, epochs: int, rungs: list[float]
) -> None:
    search = SearchConfig(grace=grace, reduction_factor=factor)

    assert rung_epochs(search, epochs) == rungs


def test_a_grace_that_was_set_stays() -> None:
    search = SearchConfig(grace=0.1)

    assert with_own_grace(search, Config()) == search


def test_the_median_rule_has_no_rungs_to_count_in_seconds() -> None:
    wrong = SearchConfig(scheduler="median", rung_unit="accelerator-seconds")

    with pytest.raises(SettingError, match="takes search.scheduler asha or hyperband, not median"):
        check_rungs(wrong)
    for scheduler in ("asha", "hyperband", "none"):
        check_rungs(with_overrides(wrong, {"scheduler": scheduler}))


@pytest.mark.parametrize("name", [path.stem for path in bundled_folder().glob("*.py")])
def test_the_bundled_spaces_that_prune_have_a_fair_rung(name: str) -> None:
    study = settle(load_space(name), {})
    epochs = study.optim.epochs

    if study.search.scheduler != "none":
        assert grace_epochs(study.search, epochs) == fair(study.training).epochs
        assert rung_epochs(study.search, epochs) != []
