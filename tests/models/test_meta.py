"""The meta device's stand-ins: the shapes and gradients of the real operations, no numbers."""

import pytest
import torch
from torch import nn

from ffl_ray.models.init import init_weights
from ffl_ray.models.meta import on_meta


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten())


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
    with on_meta(), pytest.raises(RuntimeError, match="batch norm of 4 channels got 3"):
        nn.BatchNorm2d(4)(torch.zeros(2, 3, 5, 5))
