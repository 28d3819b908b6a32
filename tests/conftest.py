"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from support.helpers import NUM_THREADS, ROOT

# Of the two groups of tests that may start Ray at one time: one; it takes as long as the other.
FIRST_ON_RAY = ("tests/test_tune.py", "tests/confirm/test_command.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In several processes: what starts Ray comes first, what shares something stays together."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


def group_of(item: pytest.Item) -> str:
    """Tests that run one after the other in one process: by file, but for two kinds."""
    file = item.path.relative_to(ROOT).as_posix()
    if item.get_closest_marker("ray"):
        return "ray 1" if file in FIRST_ON_RAY else "ray 2"
    takes = getattr(item, "fixturenames", ())
    return "exported" if file.startswith("tests/export/") and "study" in takes else file


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
