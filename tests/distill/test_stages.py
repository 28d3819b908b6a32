"""Methods on the maps of every stage: values by hand, shapes of any ratio, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from support.helpers import small_config
from support.reference import given, random_output
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.distill.dccl import dccl_terms
from ffl_ray.distill.ffsd import diverse_target, ffsd_helpers
from ffl_ray.distill.layered_ffl import layered_ffl_terms
from ffl_ray.distill.networks import build_trained
from ffl_ray.distill.stages import attention_map, normed_mse, stage_shapes
from ffl_ray.errors import SettingError
from ffl_ray.exported.member import stripped
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.cost import count_macs, count_parameters
from ffl_ray.models.fusion import MapShape
from ffl_ray.models.network import FusionNetwork, NetworkOutput
from ffl_ray.models.outline import outlined
from ffl_ray.models.stage_modules import CrossStages, StageDecoder, StageFusion

ODD = [MapShape(2, 9, 9), MapShape(3, 4, 5), MapShape(4, 2, 2), MapShape(4, 2, 2)]


def network_of(method: str, mix: str = "3*resnet8", **settings: object) -> FusionNetwork:
    config: ResolvedConfig = small_config(model__mix=mix, distill__method=method, **settings)
    return build_trained(config, image_shape=image_shape(config.data), num_classes=10)


def maps_of(shapes: list[MapShape], batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, *shape, generator=generator) for shape in shapes]


def test_where_a_student_is_to_attend_by_hand() -> None:
    peer = torch.tensor([[[[1.0, 2.0], [2.0, 4.0]]]], dtype=torch.float64)
    length = 17.0  # of 1, 4, 4, 16

    target, shifted = diverse_target(peer)

    assert attention_map(peer).tolist() == [[1, 4, 4, 16]]
    expected = [length / 2, length - 4 / length, length - 4 / length, length - 16 / length]
    assert target.flatten().tolist() == pytest.approx(expected)
    assert shifted.flatten().tolist() == pytest.approx([144.5, 283, 283, 261])
    nothing, _ = diverse_target(torch.zeros(1, 2, 3, 3))
    assert nothing.isfinite().all()


def test_a_distance_is_a_mean_over_entries_of_what_has_length_1() -> None:
    one, other = torch.tensor([[3.0, 4.0]]), torch.tensor([[8.0, 6.0]])

    assert normed_mse(one, other).item() == pytest.approx(0.04)


def test_a_stages_entries_are_classes_by_hand() -> None:
    even = torch.zeros(2, 1, 2)
    maps = [[torch.tensor([3 * math.log(3.0), 0.0]).view(1, 1, 1, 2)], [torch.zeros(1, 1, 1, 2)]]
    known = nn.ModuleDict({"crossings0": nn.Identity(), "crossings1": nn.Identity()})
    output = NetworkOutput(even, even[0], kept=Kept(stage_maps=maps), helpers=known)
    settings = resolved_distill(DistillConfig(method="dccl"))

    terms = dccl_terms(output, torch.tensor([0]), settings)

    down = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    up = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert terms["stages_to_branches.0"].value.item() == pytest.approx(9 * down)
    assert terms["stages_to_branches.1"].value.item() == pytest.approx(9 * up)
    assert terms["branches_to_fused"].value.item() == pytest.approx(0, abs=1e-6)


class Sure(nn.Module):
    """Logits of three to one, whatever the maps are."""

    def forward(self, maps: list[Tensor], features: Tensor) -> Tensor:
        return torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)


def test_a_layer_weighs_by_its_place_and_by_ffls_weights() -> None:
    zeros = torch.zeros(2, 1, 2, dtype=torch.float64)
    layers = [StageFusion(Sure(), [0], d) for d in (1, 2)]  # type: ignore[arg-type]
    helpers = nn.ModuleDict({f"layer{layer.before_last}": layer for layer in layers})
    maps = [[torch.zeros(1, 1, 2, 2)] * 3] * 2
    output = NetworkOutput(zeros, zeros[0], kept=Kept(stage_maps=maps), helpers=helpers)
    settings = resolved_distill(
        DistillConfig(
            method="layered_ffl",
            temperature=1,
            fused_to_branch_weight=2,
            target_epsilon=0,
            layer_weight=0.5,
            layer_to_branch_weight=0.25,
            layer_decay=0.1,
        )
    )

    terms = layered_ffl_terms(output, torch.tensor([0]), settings)
    silent = settings.model_copy(update={"fused_to_branch": False, "ensemble_to_fused": False})

    down = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    up = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    for index, share in enumerate((1, 0.1)):
        found = {
            name.partition(".")[0]: (term.value.item(), term.weight)
            for name, term in terms.items()
            if name.endswith(f"_layers.{index}") or name == f"layers_to_branches.{index}"
        }
        assert found == {
            "ce_layers": pytest.approx((-math.log(0.75), 0.5 * share)),
            "ensemble_to_layers": pytest.approx((up, 0.5 * share)),
            "layers_to_branches": pytest.approx((2 * down, 0.5 * share)),
        }
    left = layered_ffl_terms(output, torch.tensor([0]), silent)
    assert [name for name in left if "layers" in name] == ["ce_layers.0", "ce_layers.1"]


def test_maps_that_branches_share_are_read_once() -> None:
    apart = network_of("layered_ffl").helpers
    shared = network_of("layered_ffl", model__trunk_stages=-1).helpers
    mixed = network_of("layered_ffl", "resnet8+2*wrn10_1", model__trunk_stages=1).helpers

    assert [layer.branches for layer in apart.values()] == [(0, 1, 2), (0, 1, 2)]
    assert [layer.branches for layer in shared.values()] == [(0,), (0,)]
    assert [layer.branches for layer in mixed.values()] == [(0, 1, 2), (0, 1)]


@pytest.mark.parametrize("detach", [False, True])
def test_early_classifiers_reach_the_branches_unless_they_are_told_not_to(detach: bool) -> None:
    network = network_of("layered_ffl")
    output = network(torch.randn(4, 1, 8, 8))
    assert output.kept.stage_maps is not None

    torch.autograd.backward(
        network.helpers["layer1"](output.kept.stage_maps, detach=detach).square().sum()
    )

    reached = [any(p.grad is not None for p in branch.parameters()) for branch in network.branches]
    assert reached == [not detach] * 3


def test_maps_of_any_ratio_are_decoded_and_crossed_to_their_shapes() -> None:
    maps = maps_of(ODD)

    decoded, known = StageDecoder(ODD)(maps[-1]), CrossStages(ODD)(maps)

    assert [x.shape[1:] for x in decoded] == [torch.Size(shape) for shape in ODD[:-1]]
    assert [x.shape[1:] for x in known] == [torch.Size(shape) for shape in ODD]
    assert torch.equal(known[0], maps[0])


def test_what_a_decoder_gives_others_is_a_constant_that_leaves_it_as_it_was() -> None:
    decoder, last = StageDecoder(ODD), maps_of(ODD)[-1]
    decoder(last)
    before = {name: x.clone() for name, x in decoder.state_dict().items()}

    given = decoder.as_it_is(last)

    assert decoder.training
    assert all(module.training for module in decoder.modules())
    assert not any(x.requires_grad for x in given)
    assert all(torch.equal(x, before[name]) for name, x in decoder.state_dict().items())
    for one, other in zip(given, decoder.eval()(last), strict=True):
        assert torch.equal(one, other)


def test_a_decoders_operations_are_counted_and_outlined() -> None:
    shapes = [MapShape(2, 8, 8), MapShape(3, 4, 4), MapShape(5, 2, 2)]
    last = maps_of(shapes, 1)[-1]
    expected = 9 * (5 * 3 * 4 + 3 * 2 * 16)

    macs, _ = count_macs(lambda: StageDecoder(shapes).eval()(last))
    with outlined() as outline:
        maps = StageDecoder(shapes).eval()(last)

    assert macs == outline.macs == expected
    assert [x.shape for x in maps] == [(1, *shape) for shape in shapes[:-1]]


@pytest.mark.parametrize("method", ["dccl", "ffsd"])
def test_branches_of_other_shapes_are_refused_in_one_line(method: str) -> None:
    message = (
        rf"model.mix must hold backbones whose maps are of one shape after every stage for "
        rf"distill.method {method}, not 16x8x8, 32x4x4, 64x2x2 \(branch 0\) and \w+, .*branch \d"
    )
    with pytest.raises(SettingError, match=message):
        network_of(method, "2*resnet8+wrn10_2")
    assert len(network_of(method, "2*resnet8+resnet14").branches) == 3


def test_a_backbone_of_one_stage_is_refused() -> None:
    example = NetworkOutput(torch.zeros(2, 1, 3), kept=Kept(stage_maps=[maps_of(ODD[:1])] * 2))

    with pytest.raises(SettingError, match=r"at least 2 stages for .* layered_ffl.*, not 1"):
        stage_shapes(example, resolved_distill(DistillConfig(method="layered_ffl")))


def test_a_fused_map_of_another_shape_is_refused() -> None:
    output = given("ffsd", random_output(3))
    assert output.kept.fused_map is not None
    wide = output.kept._replace(fused_map=torch.zeros(6, 5, 2, 2))

    with pytest.raises(SettingError, match=r"must merge maps into one of .* 4x2x2, not 5x2x2"):
        ffsd_helpers(output._replace(kept=wide), resolved_distill(DistillConfig(method="ffsd")))


def test_the_leader_is_exported_alone_and_what_is_fused_without_it() -> None:
    network = network_of("ffsd", "2*resnet8+resnet14", model__leader="resnet14").eval()
    leader = network.leader
    assert leader is not None
    images = torch.randn(2, 1, 8, 8)

    alone, fused = (stripped(network, name) for name in (f"branch{leader}", "fused"))

    assert network.fusion is not None
    own = count_parameters(*network.students[leader])
    peers = [module for k in network.peers for module in network.students[k][:2]]
    rest = count_parameters(*peers, network.fusion)
    assert (count_parameters(alone), count_parameters(fused)) == (own, rest)
    output = network(images)
    assert torch.equal(alone.member(f"branch{leader}", images), output.branches[leader])
    torch.testing.assert_close(fused.member("fused", images), output.fused)
    groups = network.parameter_groups(weight_decay=0.5, fusion_weight_decay=0.25)
    assert [group["weight_decay"] for group in groups] == [0.5, 0.25, 0.5, 1e-4, 1e-4]
    layered = network_of("layered_ffl").parameter_groups(weight_decay=1.0, fusion_weight_decay=2.0)
    assert [group["weight_decay"] for group in layered] == [1, 2, 2, 2]
