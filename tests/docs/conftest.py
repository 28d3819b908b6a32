"""What the pages' blocks find when they run: a home with finished studies, and the spaces shown."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.documents import PAGES, blocks
from support.helpers import ROOT
from support.studies import make_study

from ffl_ray.results.predictions import write_predictions
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.predictions import Predictions, to_texts

LIKE_THE_EXAMPLE = ("tutorial", "first", "digits-20261122-204302")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose ray_results hold the studies that the pages name."""
    folder = tmp_path_factory.mktemp("home")
    for name in LIKE_THE_EXAMPLE:
        shutil.copytree(ROOT / "examples/digits-study", folder / "ray_results" / name)
    predicted = folder / "ray_results/digits"
    shutil.copytree(ROOT / "examples/digits-study", predicted)
    for trial_id in ("00000", "00001"):
        found = Predictions(np.arange(5) < 3, np.ones(5, np.float32))
        about = {"epoch": 1, "split": "test", "split_hash": "0"}
        row = {"member": "fused", "images": 5, **to_texts(found)}
        storage = Storage(str(predicted / "confirmed"))
        write_predictions(storage, "digits/confirmed", trial_id, [about], [row])
    make_study(
        folder / "ray_results/my-two-objectives", objectives=("fused.accuracy", "fused.macs")
    )
    return folder


@pytest.fixture
def prepared(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That home as this process's own, and its current folder."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def own_modules() -> Iterator[None]:
    """Forget the modules that a command imported from its folder, and that folder."""
    path, modules = [*sys.path], set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(ROOT / "examples") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="session")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each page a folder whose my_space.py is its first search space, or that of the README."""
    folder = tmp_path_factory.mktemp("spaces")
    of_readme = _spaces_of("README.md")
    for page in PAGES:
        (folder / page).mkdir(parents=True)
        (folder / page / "my_space.py").write_text([*_spaces_of(page), *of_readme][0])
    return folder


def _spaces_of(page: str) -> list[str]:
    return [block.text for block in blocks(page) if "def search_space(" in block.text]
