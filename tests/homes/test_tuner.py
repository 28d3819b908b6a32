"""Tune's own files in a study's folder come and go with its run."""

from pathlib import Path

import pytest

from ffl_ray.homes.tuner import TUNE_FOLDER, tunes_folder
from ffl_ray.results.storage import Storage


def written(folder: Path) -> Path:
    made = folder / TUNE_FOLDER / "00000"
    made.mkdir(parents=True)
    (folder / TUNE_FOLDER / "experiment_state-1.json").write_text("{}")
    return made


def test_they_go_before_a_run_and_after_it(tmp_path: Path) -> None:
    earlier = written(tmp_path)

    with tunes_folder(Storage(str(tmp_path))):
        gone_before = not earlier.exists()
        written(tmp_path)

    assert gone_before
    assert list(tmp_path.iterdir()) == []


def test_they_go_after_a_run_that_fails(tmp_path: Path) -> None:
    def run() -> None:
        with tunes_folder(Storage(str(tmp_path))):
            written(tmp_path)
            raise KeyError

    with pytest.raises(KeyError):
        run()

    assert list(tmp_path.iterdir()) == []
