"""The classes table: written as reports bring it, sparse, and read one training at a time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.tables import EPOCH, members, new_study

import ffl_ray.results
from ffl_ray.config.settings import Config
from ffl_ray.errors import StudyError
from ffl_ray.results.classes import read_classes
from ffl_ray.results.study import StudyTables
from ffl_ray.training.confusions import Confusions, to_row

FOUND = Confusions({(0, 0): 7, (0, 2): 1, (0, 1): 2, (1, 1): 5}, {(0, 1): b"\xff\xd8\xff"})
NAMES = ["cat", "dog", "fox"]


def report(study: StudyTables, trial_id: str, found: Confusions, names: list[str]) -> None:
    study.start(trial_id, Config())
    rows = [row | {"split": "val"} for row in members(1)]
    one = to_row("fused", found, names)
    study.epoch(trial_id, EPOCH | {"epoch": 1, "best_epoch": None}, rows, [], (), [one])
    study.end(trial_id, "completed")


def test_a_row_is_a_class_with_what_it_is_taken_for(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    report(study, "00012", FOUND, NAMES)
    report(study, "00012", FOUND, NAMES)  # a report that came twice is stored once

    cat, dog, fox = read_classes(study.storage, "00012", "fused")

    assert (cat["class"], cat["images"], cat["accuracy"]) == ("cat", 10, 0.7)
    assert (cat["taken_for"], cat["taken_for_images"]) == ([1, 2], [2, 1])
    assert cat["pictures"] == [b"\xff\xd8\xff", None]
    assert (dog["images"], dog["accuracy"], dog["taken_for"]) == (5, 1.0, [])
    assert (fox["images"], fox["accuracy"]) == (0, None)
    assert read_classes(study.storage, "00012", "branch0") == []
    assert read_classes(study.storage, "00001", "fused") == []
    frame = ffl_ray.results.load(str(tmp_path)).classes
    assert frame.images.tolist() == pd.read_parquet(tmp_path / "classes").images.tolist()


def test_a_study_without_any_has_an_empty_table(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())

    assert ffl_ray.results.load(str(tmp_path)).classes.empty


def test_a_thousand_classes_take_less_than_a_hundred_bytes_each(tmp_path: Path) -> None:
    confused = {(c, (c * 7 + shift) % 1000): 50 - shift for c in range(1000) for shift in range(9)}
    report(
        new_study(tmp_path), "00000", Confusions(confused, {}), [f"n{c:08d}" for c in range(1000)]
    )

    (part,) = (tmp_path / "classes").glob("part-*")

    assert part.stat().st_size < 100_000


def test_counts_of_other_classes_are_one_line(tmp_path: Path) -> None:
    study = new_study(tmp_path)

    with pytest.raises(StudyError, match="a report of trial 00000 holds values that no study has"):
        report(study, "00000", FOUND, ["cat", "dog"])
