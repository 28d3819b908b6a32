"""Exits: classifiers that helpers give a branch at its intermediate stages."""

from __future__ import annotations

from torch import Tensor, nn

from ffl_ray.models.fusion_designs import Features, Logits, Map
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput
from ffl_ray.models.pooling import pooled

MOST_EXITS = 2


class Exit(nn.Module):
    """The later stages of a branch anew, on its map after an earlier one, and a linear layer.

    Args:
        stages: from that map on.
        width: channels of the map that they give.
    """

    def __init__(self, stages: nn.Module, width: int, num_classes: int) -> None:
        super().__init__()
        self.stages = stages
        self.classifier = nn.Linear(width, num_classes)

    def features(self, x: Map) -> Features:
        """The pooled map of the later stages."""
        return pooled(self.stages(x))

    def forward(self, x: Map) -> Logits:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def exit_stages(num_stages: int) -> range:
    """Stages after which a branch has an exit: the last two before its last."""
    return range(max(1, num_stages - MOST_EXITS), num_stages)


def exits_of(example: NetworkOutput) -> dict[str, Helper]:
    """Helpers that are the exits of every branch.

    Args:
        example: with maps of every stage, and what makes the later ones anew.
    """
    assert example.later_stages is not None, "exits are made of a branch's later stages"
    num_classes, helpers = example.branches.shape[2], {}
    for branch, maps in enumerate(_maps(example)):
        for stage in exit_stages(len(maps)):
            stages = example.later_stages(branch, stage)
            made = Exit(stages, maps[-1].shape[1], num_classes)
            helpers[f"exit{branch}_{stage}"] = Helper(made)
    return helpers


def placed_exits(output: NetworkOutput) -> list[list[tuple[nn.Module, Map]]]:
    """Each branch's exits, the earliest first, each with the map that it takes."""
    assert output.helpers is not None, "exits are helpers"
    return [
        [
            (output.helpers[f"exit{branch}_{stage}"], maps[stage - 1])
            for stage in exit_stages(len(maps))
        ]
        for branch, maps in enumerate(_maps(output))
    ]


def _maps(output: NetworkOutput) -> list[list[Map]]:
    assert output.kept.stage_maps is not None, "exits read the maps of stages"
    return output.kept.stage_maps
