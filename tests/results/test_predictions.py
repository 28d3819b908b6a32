"""The predictions table: written as reports bring it, read by anything that reads Parquet."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.tables import EPOCH, members, new_study

import ffl_ray.results
from ffl_ray.config.settings import Config
from ffl_ray.errors import StudyError
from ffl_ray.results.predictions import read_predictions
from ffl_ray.results.schema import schema_page
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


def test_the_documented_programs_count_alike_in_duckdb_polars_and_pandas(tmp_path: Path) -> None:
    study, confirmed = new_study(tmp_path / "s"), new_study(tmp_path / "s" / "confirmed")
    report(study, "00000")
    for seed, trial_id in enumerate(("00000", "00001")):
        rng = np.random.default_rng(seed)
        nll = rng.lognormal(-1, 1, 50).astype(np.float32)
        report(confirmed, trial_id, Predictions(rng.random(50) < 0.7, nll))
    program = next(text for text in schema_page().split("```") if text.startswith("python\nimport"))
    body = ast.parse(
        program.removeprefix("python\n").replace("ray_results/digits", f"{tmp_path}/s")
    )
    names: dict[str, Any] = {}
    values = []
    for one in body.body:
        if isinstance(one, ast.Expr):
            values.append(eval(compile(ast.Expression(one.value), "schema.md", "eval"), names))
        else:
            exec(compile(ast.Module([one], []), "schema.md", "exec"), names)

    right, by_polars, by_duckdb = values
    expected = confirmed_right(tmp_path / "s" / "confirmed")
    assert list(right["fused"]) == expected
    assert by_polars.sort("image")["right"].to_list() == expected
    assert by_duckdb["right"].tolist() == expected
    assert by_polars.sort("image")["nll"].to_list() == pytest.approx(by_duckdb["nll"].tolist())
    assert len(names["trials"]) == 1


def confirmed_right(folder: Path) -> list[int]:
    """How many trainings are right on each image, by our own reader."""
    frame = ffl_ray.results.load(str(folder)).predictions
    return [int(count) for count in np.stack(list(frame.right)).sum(0)]
