"""A backbone of your own: --set "model.mix=2*backbone:tiny" --set model.trunk_stages=1"""

from torch import nn

from ffl_ray.models.backbone import Backbone


def block(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())


def tiny(in_channels: int) -> Backbone:
    """A stem and two stages; branches share as many stages as model.trunk_stages says."""
    return Backbone(block(in_channels, 16, 1), (block(16, 32, 2), block(32, 64, 2)))
