"""What the pages' blocks find when they run: a home with finished studies, and the spaces shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from documents import PAGES, blocks
from helpers import ROOT
from studies import make_study

LIKE_THE_EXAMPLE = ("tutorial", "first", "digits-20261122-204302")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose ray_results hold the studies that the pages name."""
    folder = tmp_path_factory.mktemp("home")
    for name in LIKE_THE_EXAMPLE:
        shutil.copytree(ROOT / "examples/digits-study", folder / "ray_results" / name)
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


@pytest.fixture(scope="session")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each page a folder with its first search space as my_space.py."""
    folder = tmp_path_factory.mktemp("spaces")
    for page in PAGES:
        (folder / page).mkdir(parents=True)
        shown = [b.text for b in blocks(page) if "def search_space(" in b.text]
        if shown:
            (folder / page / "my_space.py").write_text(shown[0])
    return folder
