"""A small trained study and its exported members, as the tests of exports use them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ffl_ray.data.augment import normalise
from ffl_ray.export.trained import Trained, load_trained
from ffl_ray.results import load
from ffl_ray.results.reader import find_study, records

MEMBERS = ("branch0", "branch1", "branch2", "ensemble", "fused")
SETTINGS = {
    "model.mix": "2*resnet8+wrn10_1",
    "data.fraction": "0.5",
    "optim.epochs": "2",
    "optim.batch_size": "32",
    "distill.ramp_up_epochs": "2",
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
    rows = results.members[results.members.checkpoint == "best"]
    return load_trained(find_study("mixed", str(study)), trial, int(rows.epoch.iloc[0]))
