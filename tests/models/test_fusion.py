"""Fusion designs: their documented sizes, references written from the formulas, any maps."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from docs.networks_page import documented, meta_fusion, meta_images, meta_network
from ffl_ray.config.settings import DESIGNS, FusionConfig, ResolvedModel
from ffl_ray.models.builder import build_network
from ffl_ray.models.cost import count_macs, count_parameters
from ffl_ray.models.fusion import (
    FUSION_DESIGNS,
    Fusion,
    MapShape,
    MergesMaps,
    Projection,
    build_fusion,
    merges_maps,
)
from ffl_ray.models.fusion_designs import FusionShape
from ffl_ray.models.outline import on_meta

SHAPES = [FusionShape(2, 64, 32, 100), FusionShape(3, 24, 5, 7), FusionShape(8, 7, 3, 10)]
MIXES = [("resnet20", "resnet20"), ("resnet20", "wrn16_2")]


@pytest.fixture(autouse=True)
def one_thread(equal_threads: None) -> None:
    """On maps this small a second thread costs more than it gives."""
    torch.set_num_threads(1)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def maps_of(shape: FusionShape, batch: int = 3, height: int = 4, width: int = 4) -> list[Tensor]:
    sizes = (batch, shape.width, height, width)
    return [normal(*sizes, seed=index) for index in range(shape.num_branches)]


def design_of(name: str, shape: FusionShape) -> Any:
    """A design in float64 with batch norms that are not the identity."""
    torch.manual_seed(0)
    design = FUSION_DESIGNS[name](shape).double()
    for layer in design.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                assert values is not None
                nn.init.uniform_(values, 0.5, 1.5)
    return design.eval()


def evaluated(design: str, what: str, shape: FusionShape, pixels: int = 0) -> int:
    """A docstring's expression at some sizes."""
    n, c, d, k = shape
    sizes = {"n": n, "C": c, "D": d, "K": k, "P": pixels, "max": max}
    return int(eval(documented(design, what), {"__builtins__": {}}, sizes))


def test_every_design_of_the_settings_is_in_the_table_in_the_same_order() -> None:
    assert tuple(FUSION_DESIGNS) == DESIGNS


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("design", FUSION_DESIGNS)
def test_documented_parameters_and_macs_are_the_real_ones(design: str, shape: FusionShape) -> None:
    module = design_of(design, shape)
    maps, features = maps_of(shape, batch=1, height=3, width=5), normal(1, shape.trunk_width)
    macs, _ = count_macs(lambda: module(maps, features))

    assert count_parameters(module) == evaluated(design, "Parameters", shape)
    assert macs == evaluated(design, "MACs", shape, pixels=15)
    assert documented(design, "Source")


@pytest.mark.parametrize("target", [MapShape(5, 2, 3), MapShape(24, 8, 8)])
def test_a_projection_has_its_documented_size(target: MapShape) -> None:
    projection = Projection(12, target).eval()
    macs, projected = count_macs(lambda: projection(torch.zeros(1, 12, 8, 8)))

    assert projected.shape == (1, *target)
    assert count_parameters(projection) == 12 * target.channels + 2 * target.channels
    assert macs == 12 * target.channels * target.height * target.width


def pixels(x: Tensor) -> list[tuple[int, int]]:
    return [(i, j) for i in range(x.shape[2]) for j in range(x.shape[3])]


def pooled(x: Tensor) -> Tensor:
    return torch.stack([x[:, :, i, j] for i, j in pixels(x)]).sum(dim=0) / len(pixels(x))


def pointwise(conv: nn.Conv2d, bn: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """1x1 convolution, batch norm with running statistics, ReLU: pixel by pixel."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    out = x.new_zeros(x.shape[0], conv.out_channels, *x.shape[2:])
    for i, j in pixels(x):
        mixed = x[:, :, i, j] @ conv.weight[:, :, 0, 0].T
        out[:, :, i, j] = ((mixed - bn.running_mean) * scale + bn.bias).clamp(min=0)
    return out


def mean_reference(design: Any, maps: list[Tensor]) -> Tensor:
    total = torch.zeros_like(maps[0])
    for x in maps:
        total = total + x
    logits: Tensor = design.classifier.linear(pooled(total / len(maps)))
    return logits


def attention_reference(design: Any, maps: list[Tensor]) -> Tensor:
    """One mixed map per branch, then their mean, on the maps themselves."""
    width = max(1, maps[0].shape[1] // 8)
    mixed_maps = []
    for query_map in maps:
        query = pooled(query_map) @ design.query.weight.T
        scores = [(query * (pooled(x) @ design.key.weight.T)).sum(1) / width**0.5 for x in maps]
        total = torch.stack([score.exp() for score in scores]).sum(dim=0)
        mixed = torch.zeros_like(query_map)
        for score, x in zip(scores, maps, strict=True):
            mixed = mixed + (score.exp() / total)[:, None, None, None] * x
        mixed_maps.append(mixed)
    logits: Tensor = design.classifier(pooled(torch.stack(mixed_maps).mean(dim=0)))
    return logits


def squeeze_excitation_reference(design: Any, maps: list[Tensor]) -> Tensor:
    joint = torch.cat(maps, dim=1)
    hidden = (pooled(joint) @ design.squeeze.weight.T).clamp(min=0)
    factors = 1 / (1 + (-hidden @ design.excite.weight.T).exp())
    scaled = torch.stack([joint[:, c] * factors[:, c, None, None] for c in range(joint.shape[1])])
    x = pointwise(design.pointwise, design.bn, scaled.transpose(0, 1))
    logits: Tensor = design.classifier.linear(pooled(x))
    return logits


def pooled_linear_reference(design: Any, maps: list[Tensor]) -> Tensor:
    width = maps[0].shape[1]
    logits: Tensor = design.linear.bias
    for index, x in enumerate(maps):
        share = design.linear.weight[:, index * width : (index + 1) * width]
        logits = logits + pooled(x) @ share.T
    return logits


def pairwise_reference(design: Any, maps: list[Tensor]) -> Tensor:
    fused = maps[0]
    for index in range(1, len(maps)):
        conv, bn, _ = design.steps[index - 1]
        fused = pointwise(conv, bn, torch.cat([fused, maps[index]], dim=1))
    logits: Tensor = design.classifier.linear(pooled(fused))
    return logits


REFERENCES = {
    "mean": mean_reference,
    "attention": attention_reference,
    "squeeze_excitation": squeeze_excitation_reference,
    "pooled_linear": pooled_linear_reference,
    "pairwise": pairwise_reference,
}


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_design_is_its_formula(name: str, shape: FusionShape) -> None:
    design, maps = design_of(name, shape), maps_of(shape)

    logits = design(maps, normal(3, shape.trunk_width))

    torch.testing.assert_close(logits, REFERENCES[name](design, maps))


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_that_merges_maps_is_known_by_every_python(design: str) -> None:
    """From Python 3.12 on a protocol that is looked for at run time sees no submodules."""
    shapes = [MapShape(8, 4, 4)] * 3
    fusion = build_fusion(design, shapes, 8, 10)

    assert merges_maps(fusion.design) == hasattr(type(fusion.design), "fused_map")
    assert not getattr(MergesMaps, "_is_runtime_protocol", False)


def test_attention_does_not_see_the_order_of_branches() -> None:
    shape = SHAPES[1]
    design, maps = design_of("attention", shape), maps_of(shape)
    features = normal(3, shape.trunk_width)

    torch.testing.assert_close(design(maps[::-1], features), design(maps, features))


def test_two_branches_make_pairwise_a_pointwise_fusion() -> None:
    shape = FusionShape(2, 6, 4, 5)
    pairwise, plain = design_of("pairwise", shape), design_of("concat_pointwise", shape)
    plain.load_state_dict(
        dict(zip(plain.state_dict(), pairwise.state_dict().values(), strict=True))
    )
    maps, features = maps_of(shape), normal(3, 4)

    torch.testing.assert_close(pairwise(maps, features), plain(maps, features))


@pytest.mark.parametrize("num_branches", range(2, 9))
@pytest.mark.parametrize("design", FUSION_DESIGNS)
def test_any_number_of_maps_of_any_size_trains_every_parameter(
    design: str, num_branches: int
) -> None:
    for side in (1, 2, 56):
        shape = FusionShape(num_branches, 8, 4, 5)
        module = FUSION_DESIGNS[design](shape)
        maps = [x.float() for x in maps_of(shape, 4, side, side)]

        logits = module(maps, normal(4, 4).float())
        torch.autograd.backward(logits.square().sum())

        assert logits.shape == (4, 5)
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, (name, side)
            assert parameter.grad.isfinite().all(), (name, side)


@pytest.mark.parametrize("mix", MIXES)
def test_images_of_224_pixels_fuse_by_every_design(mix: tuple[str, str]) -> None:
    with on_meta():
        maps, features = meta_network(mix).fusion_inputs(meta_images(2, 224))

    assert maps[0].shape[2:] == (56, 56)
    for design in FUSION_DESIGNS:
        with on_meta():
            logits = meta_fusion(design, maps, features)(maps, features)
        torch.autograd.backward(logits.sum(), retain_graph=True)
        assert logits.shape == (2, 100), design


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("design", FUSION_DESIGNS)
def test_a_detached_fusion_learns_and_teaches_no_branch(design: str, mix: tuple[str, str]) -> None:
    network = build_network(
        ResolvedModel(mix=mix, trunk_stages=2),
        FusionConfig.model_validate({"design": design, "detach": True}),
        image_shape=(3, 8, 8),
        num_classes=10,
        seed=0,
    )

    torch.autograd.backward(network(normal(4, 3, 8, 8).float()).fused.square().sum())

    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == name.startswith("fusion."), name


def mixed_fusion(design: str) -> Fusion:
    torch.manual_seed(0)
    return build_fusion(design, [MapShape(8, 4, 4), MapShape(16, 2, 2)], 6, 5)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("design", FUSION_DESIGNS)
def test_bfloat16_autocast_gives_float32_logits_and_finite_gradients(
    design: str, mix: tuple[str, str]
) -> None:
    network = build_network(
        ResolvedModel(mix=mix, trunk_stages=2),
        FusionConfig.model_validate({"design": design}),
        image_shape=(3, 8, 8),
        num_classes=10,
        seed=0,
    )
    with torch.autocast("cpu", torch.bfloat16):
        output = network(normal(4, 3, 8, 8).float())
        loss = output.members.square().sum()

    torch.autograd.backward(loss)

    assert output.members.dtype == output.fused.dtype == torch.float32
    assert output.fused.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("design", FUSION_DESIGNS)
def test_channels_last_maps_give_the_same_logits(design: str) -> None:
    fusion = mixed_fusion(design).eval()
    maps = [normal(3, 8, 4, 4).float(), normal(3, 16, 2, 2).float()]
    features = normal(3, 6).float()

    last = [x.to(memory_format=torch.channels_last) for x in maps]

    torch.testing.assert_close(fusion(last, features), fusion(maps, features))
