"""Networks: published sizes, every part used, any mix, any design, any image size."""

import pytest
import torch

from ffl_ray.config.methods import resolved_from
from ffl_ray.errors import SettingError
from ffl_ray.models.builder import build_network
from ffl_ray.models.cost import member_costs
from ffl_ray.models.families.resnet import cifar_resnet
from ffl_ray.models.families.wide_resnet import wide_resnet
from ffl_ray.models.fusion import FUSION_DESIGNS, MapShape, common_shape
from ffl_ray.models.network import FusionNetwork, member_names
from ffl_ray.models.registry import check_model

SMALLEST = (
    "resnet8",
    "bottleneck_resnet11",
    "preact_bottleneck_resnet11",
    "wrn16_2",
    "vgg11",
    "densenet7_12",
    "densenet_bc10_12",
    "mobilenet_v2",
    "shufflenet_v2",
)


def network_of(
    mix: str, *, size: int = 32, classes: int = 100, seed: int = 0, **overrides: object
) -> FusionNetwork:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    config = resolved_from({"model.mix": mix} | named)
    check_model(config)
    return build_network(
        config.model, config.fusion, image_shape=(3, size, size), num_classes=classes, seed=seed
    )


def count(*modules: torch.nn.Module | None) -> int:
    return sum(p.numel() for module in modules if module for p in module.parameters())


@pytest.mark.parametrize(
    ("depth", "vanilla", "trunk", "branch", "both", "total"),
    [
        (20, 278_324, 66_128, 212_196, 490_520, 506_748),
        (32, 472_756, 112_592, 360_164, 832_920, 849_148),
        (56, 861_620, 205_520, 656_100, 1_517_720, 1_533_948),
        (110, 1_736_564, 414_608, 1_321_956, 3_058_520, 3_074_748),
    ],
)
def test_parameter_counts_are_those_of_the_authors_program(
    depth: int, vanilla: int, trunk: int, branch: int, both: int, total: int
) -> None:
    network = network_of(f"2*resnet{depth}")
    costs = member_costs(network, (3, 32, 32))

    assert costs["branch0"].parameters == vanilla
    assert count(network.trunks) == trunk
    assert count(network.branches[1], network.classifiers[1]) == branch
    assert costs["ensemble"].parameters == both
    assert count(network.fusion) == 16_228
    assert count(network) == total


def test_ten_classes_have_their_published_counts_too() -> None:
    network = network_of("2*resnet32", classes=10)

    assert member_costs(network, (3, 32, 32))["branch1"].parameters == 466_906
    assert count(network) == 831_598


@pytest.mark.parametrize(("name", "parameters"), [("wrn16_2", 703_284), ("wrn40_2", 2_255_156)])
def test_wide_resnets_have_their_published_counts(name: str, parameters: int) -> None:
    network = network_of(f"2*{name}")

    assert member_costs(network, (3, 32, 32))["branch0"].parameters == parameters


@pytest.mark.parametrize(
    ("depth", "vanilla", "fused"),
    [(32, 69.13e6, 92.29e6), (56, 125.75e6, 167.78e6), (110, 253.16e6, 337.65e6)],
)
def test_macs_are_those_of_the_authors_program(depth: int, vanilla: float, fused: float) -> None:
    network = network_of(f"2*resnet{depth}")
    costs = member_costs(network, (3, 32, 32))
    classifiers = 2 * 64 * 100

    assert costs["branch0"].macs == pytest.approx(vanilla, abs=0.005e6)
    assert costs["fused"].macs + classifiers == pytest.approx(fused, abs=0.01e6)


@pytest.mark.parametrize("design", FUSION_DESIGNS)
@pytest.mark.parametrize(
    "mix", ["resnet20+wrn16_2", "densenet7_12+mobilenet_v2+shufflenet_v2", "2*vgg11"]
)
def test_macs_are_those_that_torch_counts(mix: str, design: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode  # it loads Triton

    network = network_of(mix, size=16, fusion__design=design).eval()
    costs = member_costs(network, (3, 16, 16))
    # The other members are the same with every design.
    names = costs if design == next(iter(FUSION_DESIGNS)) else ["fused"]

    for name in names:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.member(name, torch.zeros(1, 3, 16, 16))
        assert counter.get_total_flops() == 2 * costs[name].macs


@pytest.mark.parametrize("num_branches", [2, 4, 8])
def test_any_number_of_branches_fuses(num_branches: int) -> None:
    network = network_of(f"{num_branches}*resnet20", size=8)

    output = network(torch.zeros(2, 3, 8, 8))

    assert output.members.shape == (num_branches + 2, 2, 100)


@pytest.mark.parametrize("mix", ["2*resnet20", "resnet20+resnet20+wrn16_2"])
def test_a_member_alone_gives_what_it_gives_in_the_whole_network(mix: str) -> None:
    network = network_of(mix).eval()
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        together = network(images).members
        alone = [network.member(name, images) for name in member_names(network.num_branches)]

    torch.testing.assert_close(torch.stack(alone), together)


def test_branches_of_one_backbone_share_a_trunk_and_others_keep_their_own() -> None:
    network = network_of("resnet20+resnet20+wrn16_2")

    assert list(network.trunks) == ["resnet20", "wrn16_2"]
    assert network.trunk_of == ("resnet20", "resnet20", "wrn16_2")


def test_a_deeper_branch_of_the_same_backbone_shares_its_trunk() -> None:
    network = network_of("resnet8+resnet8+2")

    assert network.trunk_of == ("resnet8", "resnet8")
    depths = [len([*[*branch.children()][-1].children()]) for branch in network.branches]
    assert depths == [1, 3]


@pytest.mark.parametrize(("trunk_stages", "shared"), [(0, 0), (1, 14_480), (2, 66_128)])
def test_the_trunk_has_the_chosen_depth(trunk_stages: int, shared: int) -> None:
    network = network_of("2*resnet20", model__trunk_stages=trunk_stages)

    assert count(network.trunks) == shared
    assert member_costs(network, (3, 32, 32))["branch1"].parameters == 278_324


@pytest.mark.parametrize("mix", ["2*vgg11", "2*mobilenet_v2", "2*resnet20", "2*densenet7_12"])
def test_all_stages_but_the_last_are_shared_unless_told_otherwise(mix: str) -> None:
    network = network_of(mix)

    assert [len(list(branch.children())) for branch in network.branches] == [1, 1]
    assert network.shares_trunk


@pytest.mark.parametrize("method", ["dml", "kdcl", "independent"])
def test_networks_that_are_separate_in_the_paper_share_nothing_unless_told_otherwise(
    method: str,
) -> None:
    own, told = (
        resolved_from({"distill.method": method, **more}).model.trunk_stages
        for more in ({}, {"model.trunk_stages": -1})
    )

    assert (own, told) == (0, -1)
    assert not network_of("2*resnet8", model__trunk_stages=own).shares_trunk


def test_maps_of_other_width_or_resolution_are_brought_to_one_shape() -> None:
    shapes = [MapShape(64, 8, 8), MapShape(128, 4, 4)]

    assert common_shape(shapes) == MapShape(128, 4, 4)


def test_equal_seeds_give_equal_weights_and_a_branch_does_not_depend_on_its_neighbours() -> None:
    first, again, other = (network_of("2*resnet20", seed=seed) for seed in (1, 1, 2))
    longer = network_of("3*resnet20", seed=1)

    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    name = "branches.0.0.0.conv1.weight"
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    assert torch.equal(first.state_dict()[name], longer.state_dict()[name])
    assert not torch.equal(
        first.state_dict()[name], first.state_dict()[name.replace("s.0.", "s.1.", 1)]
    )


def test_building_a_network_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()

    network_of("2*resnet20")

    assert torch.equal(torch.random.get_rng_state(), before)


def test_initial_weights_follow_the_authors_formula() -> None:
    network = network_of("2*resnet56")
    state = network.state_dict()

    assert float(state["fusion.design.depthwise.weight"].std()) == pytest.approx(0.0417, rel=0.1)
    assert float(state["fusion.design.pointwise.weight"].std()) == pytest.approx(0.177, rel=0.05)
    assert float(state["branches.0.0.1.conv1.weight"].std()) == pytest.approx(0.0589, rel=0.05)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model.mix": "2*wrn16-2"}, "must name known backbones.*not 'wrn16-2'.*'wrn16_2'"),
        ({"model.trunk_stages": 3}, "model.trunk_stages must be less than the 3 stages.*not 3"),
        ({"model.mix": "2*support.tiny_nets:narrow", "distill.method": "dcm"},
         "of at least 2 stages for distill.method dcm, whose exits .*not support.tiny_nets:narrow"),
    ],
)  # fmt: skip
def test_an_impossible_network_is_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_model(resolved_from(overrides))


def test_a_depth_that_a_family_lacks_is_refused() -> None:
    with pytest.raises(SettingError, match=r"6n \+ 2 with n >= 1, not 31"):
        cifar_resnet(3, depth=31)
    with pytest.raises(SettingError, match=r"6n \+ 4 with n >= 1, not 20"):
        wide_resnet(3, depth=20, widen=2)
