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
