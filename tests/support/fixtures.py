"""Fixtures of all tests; the process that hands tests to others loads no torch for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from support.helpers import NUM_THREADS


@pytest.fixture(autouse=True)
def equal_threads() -> None:
    """Equal threads in every test: bit-identity depends on them."""
    torch.set_num_threads(NUM_THREADS)


@pytest.fixture
def cifar_data() -> Path:
    """Real CIFAR files, where FFL_RAY_TEST_DATA names their folder."""
    found = os.environ.get("FFL_RAY_TEST_DATA")
    if not found or not (Path(found) / "cifar-100-python").is_dir():
        pytest.skip("FFL_RAY_TEST_DATA names no folder with cifar-100-python")
    return Path(found)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's folder of weights, empty, and a hub that is not asked."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder
