"""One network of the MACs of several branches."""

from __future__ import annotations

import pytest
from support.helpers import small_config

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError
from ffl_ray.planning.cost import network_distill, network_size
from ffl_ray.planning.same_macs import same_macs


def macs(config: ResolvedConfig) -> int:
    shape = image_shape(config.data)
    return network_size(config.model, config.fusion, network_distill(config), shape, 10).macs


def alone(backbone: str) -> int:
    changes = {"model.mix": backbone, "distill.method": "independent", "model.trunk_stages": 0}
    return macs(resolved_from(flatten(small_config(objective="ensemble.accuracy")) | changes))


@pytest.mark.parametrize("mix", ["2*resnet14", "3*wrn16_1", "resnet8+wrn10_1"])
def test_no_neighbour_is_nearer(mix: str) -> None:
    config = small_config(model__mix=mix)

    found = same_macs(config, 10)

    nearest = abs(alone(found) / macs(config) - 1)
    assert nearest < 0.3
    others = [f"resnet{6 * n + 2}" for n in range(1, 8)] if "resnet" in mix else []
    others += [f"wrn16_{k}" for k in range(1, 5)] if "wrn16" in mix else []
    assert all(
        max(alone(found), macs(config)) / min(alone(found), macs(config))
        <= max(alone(other), macs(config)) / min(alone(other), macs(config))
        for other in others
    )


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("dml", {"distill__dml_teacher": "mean"}),
        ("kdcl", {}),
        ("pcl", {}),
        ("okdph", {}),
        ("ktg", {"distill__gates": "1>0=through"}),
        ("okddip", {"model__mix": "3*resnet14", "model__leader": "0"}),
    ],
)
def test_what_is_not_in_the_whole_does_not_count(method: str, settings: dict[str, object]) -> None:
    mix = {"model__mix": "2*resnet14", "objective": "ensemble.accuracy"}
    config = small_config(**mix | {"distill__method": method, "model__trunk_stages": 0} | settings)

    assert same_macs(config, 10) == same_macs(small_config(**mix, distill__method="dml"), 10)


@pytest.mark.parametrize("name", ["shufflenet_v2", "resnet18"])
def test_a_network_of_no_series_has_no_deeper_one(name: str) -> None:
    config = small_config(model__mix=f"2*{name}", data__name="cifar10")

    with pytest.raises(SettingError, match=f"--arms same_macs must be of .*, not {name}$"):
        same_macs(config, 10)
