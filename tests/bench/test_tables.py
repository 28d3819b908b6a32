"""`compare tables`: a made study is a study, Ray reads the same, and a row is added."""

from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest

import ffl_ray.results
from benchmarks.compare.__main__ import main as compare
from benchmarks.compare.our_tables import check_room
from benchmarks.compare.ray_results import read_experiment, write_experiment
from benchmarks.made_study import Row, epochs_table, rows_of, trial_rows
from benchmarks.table_writing import describe, fill
from ffl_ray.errors import SettingError
from ffl_ray.results.schema import arrow_schema
from ffl_ray.results.storage.storage import Storage

SMALL = ["--trials", "10", "--epochs", "3", "--rounds", "1"]


def test_a_small_study_is_measured_end_to_end_by_turns_with_rays_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    status = compare(["tables", *SMALL, "--ray-trials", "2", "--out", str(tmp_path / "out")])

    rows = pd.read_parquet(tmp_path / "out" / "tables")
    assert status == 0
    assert "30 rows of epochs" in capfd.readouterr().out
    assert list(rows["epochs_parts"]) == [1]
    assert list(rows["same_rows"]) == [6]
    figures = ["late_ms_per_epoch", "load_s", "read_epochs_s", "ray_rows_per_s"]
    assert (rows[figures] > 0).all(axis=None)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("option", ["--trials", "--epochs", "--ray-trials"])
def test_a_number_below_one_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(["tables", option, "0"]) == 2
    assert f"{option} must be at least 1, not 0" in capsys.readouterr().err


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    huge = Namespace(trials=10**9, epochs=10**6)

    with pytest.raises(SettingError, match=r"needs 4\d+\.\d GB, and .* has .* GB: set TMPDIR"):
        check_room(tmp_path, huge, 400 * 10**15)


def test_a_made_study_is_a_study_with_all_its_epochs(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    describe(storage)

    fill(storage, 9, 4)

    trials, epochs, members = ffl_ray.results.load(str(tmp_path))
    assert len(trials) == 9
    of_trials = epochs.groupby("trial_id")["epoch"].agg(list)
    assert all(found == [1, 2, 3, 4] for found in of_trials)
    assert set(members["trial_id"]) == set(trials["trial_id"])
    assert epochs_table(rows_of(0, 9, 4)).schema.equals(arrow_schema("epochs"))


def test_made_values_are_the_same_twice_and_vary() -> None:
    table = epochs_table(rows_of(0, 16, 5))

    assert table.equals(epochs_table(rows_of(0, 16, 5)))
    assert len(set(table["loss.total"].to_pylist())) == 80
    lengths = {len(row) for row in table["val.branches.accuracy"].to_pylist()}
    assert lengths == {2, 3, 4}


def test_ray_reads_the_columns_and_values_that_ours_has(tmp_path: Path) -> None:
    trials = {row["trial_id"]: row for row in trial_rows(0, 3, 4)}
    table = epochs_table(rows_of(0, 3, 4))
    reports: dict[str, list[Row]] = {trial_id: [] for trial_id in trials}
    for row in table.to_pylist():
        reports[row["trial_id"]].append(row)

    found = read_experiment(write_experiment(tmp_path, trials, reports))

    assert set(found) == set(trials)
    for trial_id, frame in found.items():
        assert set(table.column_names) <= set(frame.columns)
        for name in ("epoch", "loss.total", "val.branches.accuracy"):
            assert list(frame[name]) == [row[name] for row in reports[trial_id]]
