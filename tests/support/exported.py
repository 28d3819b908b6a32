"""A small trained study and its exported members, as the tests of exports use them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ffl_ray.config.methods import resolved_from
from ffl_ray.data.augment import normalise
from ffl_ray.export import card
from ffl_ray.export.member import empty_network
from ffl_ray.export.trained import Trained, load_trained
from ffl_ray.results import load
from ffl_ray.results.reader import find_study, records

MEMBERS = ("branch0", "branch1", "branch2", "ensemble", "fused")
SETTINGS = {
    "model.mix": "2*resnet8+wrn10_1",
    "data.fraction": "0.5",
    "optim.epochs": "2",
    "optim.batch_size": "32",
    "distill.ramp_up": "0.5",
}


class Exported(NamedTuple):
    """A study of one training and the folders of its exported members."""

    storage_path: Path
    folders: dict[str, Path]
    trained: Trained

    def logits(self, member: str, pixels: torch.Tensor) -> np.ndarray:
        """The trained network's own."""
        info = self.trained.data.info
        images = normalise(pixels, torch.tensor(info.mean), torch.tensor(info.std))
        with torch.no_grad():
            found: np.ndarray = self.trained.network.member(member, images).numpy()
        return found


def trained_of(study: Path) -> Trained:
    """The trained network of `mixed`."""
    results = load("mixed", str(study))
    trial = records(results.trials)[0]
    rows = results.members[results.members.checkpoint == "latest"]
    return load_trained(find_study("mixed", str(study)), trial, int(rows.epoch.iloc[0]))


ROW = {
    **{"backbone": None, "parameters": 1, "macs": 1, "epoch": 1},
    **{"split": "val", "checkpoint": "latest"},
    **dict.fromkeys(("accuracy", "top5", "nll", "ece"), 0.5),
}
SOURCE = card.Source("s", "00000", "Chosen.", 1, "ab", 1, 1, ROW, None, "x", {}, {}, None)


def tiny_trained(design: str, like: Trained) -> Trained:
    """A network of three small branches, one of another shape, with batch norms that matter."""
    settings = {
        "model.mix": "2*support.tiny_nets:narrow+support.tiny_nets:wide",
        "model.trunk_stages": 0,
        "fusion.design": design,
    }
    config = resolved_from(settings)
    network = empty_network(config, like.data.info, like.data.image_shape)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return Trained(config, network.eval(), like.data, 1)
