"""A folder of small JPEGs, and processes that decode them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.streamed import write_jpegs

from ffl_ray.data.streaming.pool import LoaderPool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    write_jpegs(root / "train")
    write_jpegs(root / "val", 2)
    return root


@pytest.fixture(scope="module")
def pool() -> Iterator[LoaderPool]:
    found = LoaderPool(2)
    yield found
    found.close()
