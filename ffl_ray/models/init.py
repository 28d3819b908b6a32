"""Initial weights, as in the authors' program."""

import math

from torch import nn


def init_weights(module: nn.Module) -> None:
    """Convolutions from N(0, 2 / (k^2 c_out)), batch norm at identity, linear layers as they are.

    The formula ignores groups, as the authors' does: a depthwise convolution over 128 channels
    starts at deviation 0.042, a ninth of grouped He; the batch norm behind it hides the scale.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            height, width = layer.kernel_size
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (height * width * layer.out_channels)))
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
