"""Every backbone with every fusion design, in pairs of one and of two kinds, at three sizes.

The product runs on the meta device: shapes, autograd graphs and costs are real there, numbers are
not. A backbone runs forward and backward once per pair and size, and each design once on maps of
such shapes, whichever backbones give them.
Numbers are tested for every design on small backbones and for every backbone on one design.
"""

import functools

import pytest
import torch
from torch import nn

from docs.networks_page import (
    PARTNERS,
    meta_fusion,
    meta_images,
    meta_network,
    mixes,
)
from ffl_ray.config.settings import FusionConfig, ResolvedModel
from ffl_ray.models.builder import build_network
from ffl_ray.models.bundled import BACKBONES
from ffl_ray.models.cost import count_parameters
from ffl_ray.models.fusion import FUSION_DESIGNS
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import on_meta

BATCH = 2
SIZES = (8, 32, 64)
LARGEST_REAL = 25e6  # parameters of a branch; drawing more takes above a second


@pytest.fixture(autouse=True)
def one_thread(equal_threads: None) -> None:
    """On maps this small a second thread costs more than it gives."""
    torch.set_num_threads(1)


def without_gradient(module: nn.Module) -> list[str]:
    """Names of the parameters that no gradient reached; the gradients are dropped."""
    names = [name for name, parameter in module.named_parameters() if parameter.grad is None]
    module.zero_grad(set_to_none=True)
    return names


@functools.cache
def faults_of_fusion(
    design: str, shapes: tuple[torch.Size, ...], of_features: torch.Size
) -> list[str]:
    with on_meta():
        inputs = [torch.empty(shape, requires_grad=True) for shape in shapes]
        features = torch.empty(of_features)
        fusion = meta_fusion(design, inputs, features)
        logits = fusion(inputs, features)
    torch.autograd.backward(logits.sum())

    faults = [f"map {i} has no gradient" for i, x in enumerate(inputs) if x.grad is None]
    faults += [f"{name} has no gradient" for name in without_gradient(fusion)]
    if logits.shape != (BATCH, 100):
        faults.append(f"logits of shape {tuple(logits.shape)}")
    return faults


@pytest.mark.parametrize("kind", ["same", "mixed"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_and_every_design_train_every_parameter_at_every_size(
    backbone: str, kind: str
) -> None:
    network = meta_network(mixes(backbone)[kind]).train()
    faults = []
    for size in SIZES:
        with on_meta():
            maps, features = network.fusion_inputs(meta_images(BATCH, size))
        shapes = tuple(x.shape for x in maps)
        for design in FUSION_DESIGNS:
            found = faults_of_fusion(design, shapes, features.shape)
            faults += [f"{design}, {size}: {x}" for x in found]
        torch.autograd.backward(maps, [torch.empty_like(x) for x in maps])
        for name in without_gradient(nn.ModuleList([network.trunks, network.branches])):
            faults.append(f"{size}: trunks or branches {name} has no gradient")

    assert not faults


def network_of(
    mix: tuple[str, ...], design: str = "concat_depthwise", trunk_stages: int = 2
) -> FusionNetwork:
    return build_network(
        ResolvedModel(mix=mix, trunk_stages=trunk_stages),
        FusionConfig.model_validate({"design": design}),
        image_shape=(3, 8, 8),
        num_classes=10,
        seed=0,
    )


def assert_real_gradients(network: FusionNetwork) -> None:
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    output = network(images)
    torch.autograd.backward(output.members.square().sum())

    assert output.members.shape == (4, 8, 10)
    assert output.members.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", ["same", "mixed"])
@pytest.mark.parametrize("design", FUSION_DESIGNS)
def test_every_design_gives_every_parameter_a_finite_gradient(design: str, kind: str) -> None:
    assert_real_gradients(network_of(mixes(PARTNERS[0])[kind], design))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gets_finite_gradients_from_the_papers_design(backbone: str) -> None:
    mix = mixes(backbone)["same"]
    if count_parameters(*meta_network(mix).member_modules("branch0")) > LARGEST_REAL:
        pytest.skip("its weights take above a second to draw; the meta device covers it")

    assert_real_gradients(network_of(mix, trunk_stages=-1))
