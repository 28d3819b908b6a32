"""One small trained study, and all its members exported, for all tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from ffl_ray import export, train
from ffl_ray.config import Config
from ffl_ray.data.augment import normalise
from ffl_ray.exporting.trained import Trained, load_trained
from ffl_ray.overrides import with_overrides
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


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage path of `mixed`, a study of one training."""
    path = tmp_path_factory.mktemp("studies")
    options = [word for item in SETTINGS.items() for word in ("--set", "=".join(item))]
    status = train.main([*options, "--name", "mixed", "--storage-path", str(path)])
    assert status == 0
    return path


@pytest.fixture(scope="session")
def exported(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Every member of `mixed`, exported by the command in every format."""
    root = tmp_path_factory.mktemp("exported")
    for name in MEMBERS:
        options = ["--member", name, "--out", str(root / name), "--storage-path", str(study)]
        assert export.main(["mixed", *options]) == 0
    return Exported(study, {name: root / name for name in MEMBERS}, trained_of(study))


def trained_of(study: Path) -> Trained:
    """The trained network of `mixed`."""
    results = load("mixed", str(study))
    trial = records(results.trials)[0]
    rows = results.members[results.members.checkpoint == "best"]
    return load_trained(find_study("mixed", str(study)), trial, int(rows.epoch.iloc[0]))


@pytest.fixture
def other_config() -> Config:
    """Settings of many kinds that are not the defaults."""
    return with_overrides(
        Config(),
        {
            "model.mix": "resnet20+2*wrn16_2",
            "data.crop_padding": 2,
            "data.flip": True,
            "optim.lr_milestones": "0.3,0.6",
            "distill.temperature": 2.5,
            "fusion.detach": True,
            "seed": 7,
        },
    )
