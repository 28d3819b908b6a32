"""One small trained study, and all its members exported, for all tests of this folder."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.exported import MEMBERS, SETTINGS, Exported, trained_of

from ffl_ray import train
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.export import __main__ as export


@pytest.fixture(scope="session", autouse=True)
def operators() -> Iterator[None]:
    """torch reads the source of its ONNX operators once, and not for each export: 0.4 s of CPU."""
    with pytest.MonkeyPatch.context() as patch:
        exporter = importlib.import_module("torch.onnx._internal.exporter._registration")
        apis = vars(exporter)["onnxscript_apis"]
        patch.setattr(apis, "get_torchlib_ops", functools.cache(apis.get_torchlib_ops))
        yield


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage path of `mixed`, a study of one training."""
    path = tmp_path_factory.mktemp("studies")
    options = [word for item in SETTINGS.items() for word in ("--set", "=".join(item))]
    command = [*options, "--name", "mixed", "--storage-path", str(path)]
    # The second time it shows what is there: the first has let go of it.
    assert [train.main(command), train.main(command)] == [0, 0]
    return path


@pytest.fixture(scope="session")
def exported(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Every member of `mixed`, exported by the command in every format."""
    root = tmp_path_factory.mktemp("exported")
    for name in MEMBERS:
        options = ["--member", name, "--out", str(root / name), "--storage-path", str(study)]
        assert export.main(["mixed", *options]) == 0
    return Exported(study, {name: root / name for name in MEMBERS}, trained_of(study))


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
