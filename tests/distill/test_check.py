"""What a method asks of its network is said as the config enters, before any worker builds it."""

from __future__ import annotations

import pytest
from support.helpers import small_config

from ffl_ray.config.methods import METHODS
from ffl_ray.config.settings import DESIGNS
from ffl_ray.distill.check import check_config
from ffl_ray.errors import SettingError
from ffl_ray.planning.cost import DataSize, training_cost

DATA = DataSize(10, 64, 16)
# Branches that are all alike suit every method; then other widths, other numbers of stages, and one
# stage of other resolutions.
ALIKE = "3*resnet8"
MIXES = (
    *(ALIKE, "2*resnet8+wrn10_2", "resnet8+vgg11+resnet8", "2*support.tiny_nets:narrow"),
    "2*support.tiny_nets:narrow+support.tiny_nets:wide",
)


@pytest.mark.parametrize("method", METHODS)
def test_a_config_that_is_let_in_can_be_built_and_has_a_loss(method: str) -> None:
    refused = {}
    for mix in MIXES:
        try:
            config = small_config(
                data__name="cifar10",
                distill__method=method,
                fusion__design="sum" if METHODS[method].head == "fusion" else DESIGNS[0],
                objective="ensemble.accuracy",
                model__mix=mix,
                model__trunk_stages=0,
            )
            check_config(config)
        except SettingError as error:
            refused[mix] = str(error)
        else:
            assert training_cost(config, DATA).training_macs > 0

    assert ALIKE not in refused
    assert all("\n" not in message for message in refused.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"distill__method": "ffsd", "model__mix": "2*resnet8+wrn10_2"},
            "of one shape after every stage for distill.method ffsd, not .* and .*branch 2",
        ),
        (
            {"distill__method": "dccl", "model__mix": "resnet8+vgg11"},
            "of one shape after every stage for distill.method dccl, not .* and .*branch 1",
        ),
        (
            {"distill__method": "layered_ffl", "model__mix": "2*support.tiny_nets:narrow"},
            "at least 2 stages for distill.method layered_ffl, which reads .*, not 1",
        ),
        (
            {
                "distill__method": "ffsd",
                "model__mix": "3*resnet8",
                "fusion__design": "pooled_linear",
            },
            "must merge maps into one, as concat_depthwise does, .*, not pooled_linear",
        ),
    ],
)
def test_what_only_the_built_network_knows_is_refused_as_the_config_enters(
    settings: dict[str, object], message: str
) -> None:
    config = small_config(data__name="cifar10", **settings)

    with pytest.raises(SettingError, match=message) as error:
        check_config(config)

    assert "\n" not in str(error.value)
