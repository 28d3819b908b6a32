"""What tells trainings apart."""

from __future__ import annotations

import pytest

from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import settings, with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.results.schema import config_columns
from ffl_ray.results.trainings import TRAINED, training_key


def key(**changes: object) -> str:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return training_key(config_columns(resolved(with_overrides(Config(), named))))


def test_a_seed_or_where_data_lie_makes_no_other_training() -> None:
    assert key(seed=3) == key(data__dir="/elsewhere") == key()


@pytest.mark.parametrize(
    "change",
    [{"model__mix": "2*resnet20"}, {"distill__temperature": 2.0}, {"optim__lr_milestones": [0.4]}],
    ids=str,
)
def test_any_other_setting_does(change: dict[str, object]) -> None:
    assert key(**change) != key()


def test_what_a_row_of_an_older_version_lacks_was_its_default() -> None:
    whole = config_columns(resolved(with_overrides(Config(), {"optim.lr": 0.3})))
    new = ("distill.own_batches", "data.images_per_class", "optim.nesterov")
    assert {*new} < {*TRAINED} < {setting.name for setting in settings(Config)}

    assert training_key({n: v for n, v in whole.items() if n not in new}) == training_key(whole)
