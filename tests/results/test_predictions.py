"""The predictions table: written as reports bring it, read by anything that reads Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.tables import EPOCH, members, new_study

import ffl_ray.results
from ffl_ray.config.settings import Config
from ffl_ray.errors import StudyError
from ffl_ray.results.predictions import read_predictions
from ffl_ray.results.study import StudyTables
from ffl_ray.training.predictions import Predictions, to_texts

RNG = np.random.default_rng(0)
FOUND = Predictions(RNG.random(10_000) < 0.7, RNG.lognormal(-1, 2, 10_000).astype(np.float32))


def report(study: StudyTables, trial_id: str, found: Predictions = FOUND) -> None:
    study.start(trial_id, Config())
    rows = [row | {"split": "test"} for row in members(1)]
    one = {"member": "fused", "images": len(found.right), **to_texts(found)}
    study.epoch(trial_id, EPOCH | {"epoch": 1, "best_epoch": None}, rows, [], [one])
    study.end(trial_id, "completed")


def test_predictions_are_loaded_beside_the_tables(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for trial_id in ("00000", "00012"):
        report(study, trial_id)
    report(study, "00012")  # a report that came twice is stored once

    results = ffl_ray.results.load(str(tmp_path))
    trials, epochs, _ = results

    assert len(trials) == len(epochs) == 2
    frame = results.predictions
    assert list(frame.trial_id) == ["00000", "00012"]
    assert set(frame.split) == {"test"}
    assert (frame.right[1] == FOUND.right).all()
    assert frame.nll[1] == pytest.approx(FOUND.nll, rel=2**-11)
    assert pd.read_parquet(tmp_path / "predictions").images.tolist() == [10_000, 10_000]
    of_one = read_predictions(study.storage, "00012")["fused"]
    assert (of_one.right == FOUND.right).all()
    assert read_predictions(study.storage, "00001") == {}


def test_ten_thousand_images_take_less_than_three_bytes_each(tmp_path: Path) -> None:
    report(new_study(tmp_path), "00000")

    (part,) = (tmp_path / "predictions").glob("part-*")

    assert part.stat().st_size < 28_000  # 1.3 of them bits, 22 NLLs, the rest the schema


def test_a_study_without_any_has_an_empty_table(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())

    assert ffl_ray.results.load(str(tmp_path)).predictions.empty


def test_predictions_of_another_length_are_one_line(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    one = {"member": "fused", "images": 5, **to_texts(FOUND)}

    with pytest.raises(StudyError, match="a report of trial 00000 holds values that no study has"):
        study.epoch("00000", EPOCH | {"epoch": 1}, members(1), [], [one])
