"""Where the image files of a data set of the hub may lie."""

from pathlib import Path

import pytest

from ffl_ray.config.settings import DataConfig
from ffl_ray.data.hub_files import _check_inside, _own_folders


def test_what_was_unpacked_elsewhere_than_downloads_lie_is_the_data_sets_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pytest.importorskip("datasets").config
    monkeypatch.setattr(config, "DOWNLOADED_DATASETS_PATH", tmp_path / "downloads")
    monkeypatch.setattr(config, "EXTRACTED_DATASETS_PATH", tmp_path / "unpacked")

    _check_inside(DataConfig(), _own_folders(None), [str(tmp_path / "unpacked" / "a" / "0.png")])
