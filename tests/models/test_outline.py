"""Outlines: the shapes and gradients of the real operations, no numbers."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ffl_ray.models.init import init_weights
from ffl_ray.models.outline import on_meta, outlined


def layers() -> nn.Sequential:
    activations = nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.GELU()
    convolution = nn.Conv2d(3, 4, 3, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), *activations, nn.Flatten())


def test_a_network_on_meta_has_the_shapes_and_gradients_of_a_real_one() -> None:
    real = layers()
    expected = real(torch.zeros(2, 3, 5, 5))
    with on_meta():
        meta = layers()
        init_weights(meta)
        images = torch.zeros(2, 3, 5, 5, requires_grad=True)
        out = meta(images)

    torch.autograd.backward(out.sum())

    assert out.shape == expected.shape
    assert images.grad is not None
    for parameter, twin in zip(meta.parameters(), real.parameters(), strict=True):
        assert parameter.is_meta
        assert parameter.grad is not None
        assert parameter.grad.shape == twin.shape


def test_a_batch_norm_of_another_width_is_refused_on_meta_too() -> None:
    with on_meta(), pytest.raises(RuntimeError, match="batch norm.* must have 4 channels, not 3"):
        nn.BatchNorm2d(4)(torch.zeros(2, 3, 5, 5))


@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize(("kernel", "dilation", "groups"), [(3, 1, 1), (1, 1, 4), ((3, 2), 2, 2)])
def test_an_outlined_convolution_has_the_shape_of_a_real_one(
    stride: Any, padding: Any, kernel: Any, dilation: int, groups: int
) -> None:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x = torch.zeros(2, 4, 9, 10)
    real = torch.nn.Conv2d(4, 8, kernel, **options)

    with outlined():
        layer = torch.nn.Conv2d(4, 8, kernel, **options)
        out = layer(torch.zeros(2, 4, 9, 10))

    assert out.shape == real(x).shape


@pytest.mark.parametrize("transposed", [False, True])
def test_an_outlined_convolution_takes_its_tensors_by_name(transposed: bool) -> None:
    convolve = F.conv_transpose2d if transposed else F.conv2d
    weight = torch.zeros(4, 4, 3, 3)

    with outlined() as by_place:
        first = convolve(torch.zeros(2, 4, 9, 10), weight, padding=1)
    with outlined() as by_name:
        second = convolve(input=torch.zeros(2, 4, 9, 10), weight=weight, padding=1)
        normed = F.batch_norm(input=second, running_mean=None, running_var=None, training=True)

    assert first.shape == second.shape == normed.shape == (2, 4, 9, 10)
    assert by_place.macs == by_name.macs == 2 * 4 * 9 * 10 * 4 * 9


def test_an_outline_refuses_what_torch_refuses() -> None:
    with outlined():
        images = torch.zeros(2, 3, 4, 4)
        with pytest.raises(RuntimeError, match="must have 5 channels, not 3"):
            torch.nn.Conv2d(5, 8, 3)(images)
        with pytest.raises(RuntimeError, match="must be at least 7 long, not 4"):
            torch.nn.Conv2d(3, 8, 7)(images)
        with pytest.raises(RuntimeError, match="must have 5 channels, not 3"):
            torch.nn.BatchNorm2d(5)(images)


def test_outside_an_outline_torch_computes_as_before() -> None:
    with outlined():
        pass

    assert F.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).item() == 9
    assert torch.nn.Linear(4, 4).weight.abs().sum() > 0
