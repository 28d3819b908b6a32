"""Tables: whole at every moment, growing part by part, true to their schema."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.helpers import ROOT

import ffl_ray.results
from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, StudyConfig
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.results import writer
from ffl_ray.results.columns import TABLES
from ffl_ray.results.description import (
    check_goes_on,
    check_name,
    describe_study,
    read_description,
)
from ffl_ray.results.schema import (
    SCHEMA_VERSION,
    arrow_schema,
    config_columns,
    schema_page,
)
from ffl_ray.results.storage.storage import COPIES, Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.results.writer import (
    ROWS_PER_PART,
    AppendedTable,
    KeyedTable,
)
from ffl_ray.search.space import load_space, settle

SMALL_PART = 64
FUSED = [parse_objective("fused.accuracy")]
EPOCH = {
    "objective_value": 0.5,
    "val.fused.accuracy": 0.5,
    "val.ensemble.accuracy": 0.5,
    "val.best_branch.accuracy": 0.5,
    "accelerator_s": 1.0,
    "peak_memory_bytes": 1,
}


def new_study(folder: Path, name: str = "study") -> StudyTables:
    return StudyTables.open(Storage(str(folder)), name, describe_study("test", {"a": 1}), FUSED)


def members(epoch: int) -> list[dict[str, Any]]:
    return [{"member": "fused", "split_hash": "ab", "epoch": epoch, "accuracy": epoch / 10}]


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_study_can_be_read_by_pandas(table: str, tmp_path: Path) -> None:
    new_study(tmp_path)

    frame = pd.read_parquet(tmp_path / table)

    assert list(frame.columns) == arrow_schema(table).names
    assert len(frame) == 0


def test_rows_go_on_in_new_parts_and_none_is_lost(tmp_path: Path) -> None:
    table = AppendedTable(Storage(str(tmp_path)), "epochs")
    count = ROWS_PER_PART + 10
    for first in range(0, count, 100):
        table.append([{"epoch": i} for i in range(first, min(first + 100, count))])

    assert len(list((tmp_path / "epochs").glob("part-*.parquet"))) == 2
    assert sorted(pd.read_parquet(tmp_path / "epochs").epoch) == list(range(count))


def test_many_rows_at_once_are_cut_into_parts(tmp_path: Path) -> None:
    table = AppendedTable(Storage(str(tmp_path)), "epochs")

    table.append([{"epoch": i} for i in range(3 * ROWS_PER_PART)])
    table.append([{"epoch": 3 * ROWS_PER_PART}])

    files = sorted((tmp_path / "epochs").glob("part-*.parquet"))
    assert [pq.read_metadata(file).num_rows for file in files] == [ROWS_PER_PART] * 3 + [1]


def test_a_table_that_is_opened_again_goes_on_behind_its_rows(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    AppendedTable(storage, "epochs").append([{"epoch": 1}])
    KeyedTable(storage, "trials", "trial_id").update("00000", status="running")

    AppendedTable(storage, "epochs").append([{"epoch": 2}])
    trials = KeyedTable(storage, "trials", "trial_id")
    trials.update("00000", status="completed")

    assert list(pd.read_parquet(tmp_path / "epochs").epoch) == [1, 2]
    assert list(pd.read_parquet(tmp_path / "trials").status) == ["completed"]


def test_a_column_that_the_schema_lacks_is_an_error(tmp_path: Path) -> None:
    table = AppendedTable(Storage(str(tmp_path)), "epochs")

    with pytest.raises(KeyError, match="table epochs has no column .*'loss.other'"):
        table.append([{"loss.other": 1.0}])


def write_for_ever(folder: str) -> None:
    writer.ROWS_PER_PART = SMALL_PART
    study = new_study(Path(folder))
    study.start("00000", Config())
    epoch = 0
    while True:
        epoch += 1
        row = EPOCH | {"epoch": epoch, "best_epoch": epoch}
        study.epoch("00000", row, members(epoch), members(epoch))


def test_tables_are_whole_while_they_are_written_and_after_a_kill(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=write_for_ever, args=(str(tmp_path),)
    )
    process.start()
    deadline = time.monotonic() + 60
    seen = 0
    while seen < 2 * SMALL_PART + 10 and time.monotonic() < deadline:
        if (tmp_path / "epochs" / "part-00000.parquet").exists():
            epochs = sorted(pd.read_parquet(tmp_path / "epochs").epoch)
            assert epochs == list(range(1, len(epochs) + 1))
            assert len(epochs) >= seen
            seen = len(epochs)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    results = ffl_ray.results.load(str(tmp_path))

    assert list(results.epochs.epoch) == list(range(1, len(results.epochs) + 1))
    assert len(results.epochs) >= seen > 2 * SMALL_PART
    new_study(tmp_path)
    assert ffl_ray.results.load(str(tmp_path)).trials.epochs_done[0] == len(results.epochs)


def test_an_ended_trial_has_member_rows_of_its_latest_and_best_epoch(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    for epoch, best in ((1, 1), (2, 2), (3, 2)):
        row = EPOCH | {"epoch": epoch, "best_epoch": best}
        study.epoch("00000", row, members(epoch), members(best))
    study.end("00000", "completed")

    found = ffl_ray.results.load(str(tmp_path)).members

    assert dict(zip(found.checkpoint, found.epoch, strict=True)) == {"best": 2, "latest": 3}


def test_an_epoch_that_an_attempt_repeats_is_stored_once(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    study.epoch("00000", EPOCH | {"epoch": 1, "best_epoch": 1}, members(1), members(1))
    study.start("00000", Config())
    for epoch in (1, 2):
        row = EPOCH | {"epoch": epoch, "best_epoch": 1}
        study.epoch("00000", row, members(epoch), members(1))

    found = ffl_ray.results.load(str(tmp_path)).epochs

    assert list(zip(found.epoch, found.attempt, strict=True)) == [(1, 1), (2, 2)]


def test_a_kill_between_the_writes_of_an_epoch_neither_loses_nor_doubles_it(
    tmp_path: Path,
) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    row = EPOCH | {"epoch": 1, "best_epoch": 1}
    study.epoch("00000", row, members(1), members(1))
    study.trials.update("00000", epochs_done=0)  # as if the kill came before this table's turn
    del study

    again = new_study(tmp_path)
    again.start("00000", Config())
    again.epoch("00000", row, members(1), members(1))

    results = ffl_ray.results.load(str(tmp_path))
    assert list(results.epochs.epoch) == [1]
    assert list(results.trials.epochs_done) == [1]
    assert list(results.trials.attempt) == [2]


@pytest.mark.parametrize("padding", [0, ROWS_PER_PART + 3])
def test_a_trial_that_ends_twice_has_its_member_rows_once(padding: int, tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for trial_id, epoch in (("00000", 1), ("00001", 1), ("00000", 2)):
        study.start(trial_id, Config())
        row = EPOCH | {"epoch": epoch, "best_epoch": 1}
        study.epoch(trial_id, row, members(epoch), members(1))
        study.end(trial_id, "failed" if epoch == 1 else "completed")
        if trial_id == "00001":
            study.start("other", Config())
            study.epoch("other", row, members(1)[:1] * padding, [])
            study.end("other", "failed")

    found = ffl_ray.results.load(str(tmp_path)).members

    own = found[found.trial_id != "other"]
    assert len(found) - len(own) == padding
    rows = list(zip(own.trial_id, own.checkpoint, own.epoch, strict=True))
    assert rows == [
        ("00000", "best", 1), ("00000", "latest", 2), ("00001", "best", 1), ("00001", "latest", 1),
    ]  # fmt: skip


def test_epochs_whose_reports_were_lost_are_stored_when_an_attempt_reports_them_again(
    tmp_path: Path,
) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    latest = 0
    for epoch in (1, 2, 1, 2, 3, 4):  # the first attempt's reports of 3 and 4 did not arrive
        row = EPOCH | {"epoch": epoch, "best_epoch": 1}
        study.epoch("00000", row, members(epoch), members(1))
        latest = max(latest, epoch)
        assert study.trials["00000"]["epochs_done"] == latest
    study.end("00000", "completed")

    trials, epochs, found = ffl_ray.results.load(str(tmp_path))

    assert list(epochs.epoch) == [1, 2, 3, 4]
    assert list(trials.epochs_done) == [4]
    assert set(found[found.checkpoint == "latest"].epoch) == {4}


def test_a_trial_that_failed_before_it_began_can_begin_again(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    study.errored("00000", ("ActorDiedError", "no memory"))
    study.start("00000", Config())
    study.epoch("00000", EPOCH | {"epoch": 1, "best_epoch": 1}, members(1), members(1))
    study.end("00000", "completed")

    trial = ffl_ray.results.load(str(tmp_path)).trials.iloc[0]

    assert (trial.status, trial.attempt, trial.epochs_done) == ("completed", 2, 1)


@pytest.mark.parametrize(
    ("uri", "child"),
    [
        ("s3://bucket/a?region=eu-west-1&scheme=http", "s3://bucket/a/b/c?region=eu-west-1&scheme=http"),
        ("s3://bucket/a?region=eu-west-1", "s3://bucket/a/b/c?region=eu-west-1"),
    ],
)  # fmt: skip
def test_a_folder_in_an_object_store_keeps_its_options(uri: str, child: str) -> None:
    storage = Storage(uri)

    assert storage.child("b").child("c").location == child
    assert Storage(child).location == child
    assert not storage.is_local


def test_every_setting_is_a_column_and_keeps_its_value(tmp_path: Path) -> None:
    config = with_overrides(Config(), {"model.mix": "wrn16_2+2*resnet20"})
    new_study(tmp_path).start("00000", config)

    row = ffl_ray.results.load(str(tmp_path)).trials.iloc[0]

    assert row["model.mix"] == "2*resnet20+wrn16_2"
    assert row["num_branches"] == 3
    for name, value in config_columns(config).items():
        if value is None:
            assert pd.isna(row[name]), name
        else:
            assert (row[name] == value) if not isinstance(value, list) else list(row[name]) == value


def test_units_and_meanings_are_in_the_files(tmp_path: Path) -> None:
    new_study(tmp_path)

    schema = pq.read_schema(tmp_path / "epochs" / "part-00000.parquet")

    assert schema.field("epoch_s").metadata[b"unit"] == b"s"
    assert schema.metadata[b"ffl_ray_schema"] == str(SCHEMA_VERSION).encode()


def test_the_schema_page_says_what_the_code_does() -> None:
    assert (ROOT / "docs" / "schema.md").read_text() == schema_page() + "\n"


def test_a_study_goes_on_with_its_settings_and_no_others(tmp_path: Path) -> None:
    new_study(tmp_path)
    new_study(tmp_path)

    with pytest.raises(StudyError, match=r"goes on only with .* a was 1 and is 2"):
        StudyTables.open(Storage(str(tmp_path)), "study", describe_study("test", {"a": 2}), FUSED)
    with pytest.raises(StudyError, match="holds a study of kind test"):
        StudyTables.open(Storage(str(tmp_path)), "study", describe_study("other", {"a": 1}), FUSED)


def test_a_setting_that_a_studys_version_did_not_know_had_its_default(tmp_path: Path) -> None:
    storage, settings = Storage(str(tmp_path)), flatten(StudyConfig())
    known = {name: value for name, value in settings.items() if name != "data.residency"}
    StudyTables.open(storage, "study", describe_study("search", known), FUSED)

    assert check_goes_on(storage, "search", settings)
    with pytest.raises(StudyError, match="data.residency was 'auto' and is 'stream'"):
        check_goes_on(storage, "search", settings | {"data.residency": "stream"})


def test_the_shipped_study_of_the_version_before_goes_on(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "study"))
    shutil.copytree(ROOT / "examples" / "digits-study", tmp_path / "study")
    kept = {"search_space": read_description(storage)["settings"]["search_space"]}
    study = settle(load_space("digits"), {"compute.precision": "float32", "search.num_samples": 40})

    assert check_goes_on(storage, "search", flatten(study) | kept)


def test_a_study_has_one_writer(tmp_path: Path) -> None:
    held = new_study(tmp_path)

    with pytest.raises(StudyError, match="is in use by another process"):
        new_study(tmp_path)
    del held
    new_study(tmp_path)


def test_a_missing_study_is_an_error_that_names_both_places(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nowhere or .*/nowhere holds no study.json"):
        ffl_ray.results.load("nowhere", str(tmp_path))


def test_a_study_is_found_by_name_under_the_storage_path(tmp_path: Path) -> None:
    new_study(tmp_path / "mine")

    assert len(ffl_ray.results.load("mine", str(tmp_path)).trials) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "study.json is damaged"),
        ("[]", "study.json is damaged"),
        ('{"schema_version": 99}', "has schema version 99.*upgrade ffl_ray"),
    ],
)
def test_a_damaged_or_newer_study_is_refused(content: str, message: str, tmp_path: Path) -> None:
    new_study(tmp_path)
    (tmp_path / "study.json").write_text(content)

    with pytest.raises(StudyError, match=message):
        ffl_ray.results.load(str(tmp_path))


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    new_study(tmp_path)
    part = tmp_path / "epochs" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-20])

    with pytest.raises(StudyError, match=r"part-00000.parquet can't be read"):
        ffl_ray.results.load(str(tmp_path))
    shutil.rmtree(tmp_path / COPIES)  # else it is mended
    with pytest.raises(StudyError, match=r"part-00000.parquet can't be read"):
        new_study(tmp_path)


def test_the_description_says_versions_and_settings(tmp_path: Path) -> None:
    new_study(tmp_path)

    description = json.loads((tmp_path / "study.json").read_text())

    assert {"torch", "ray", "optuna", "python", "ffl_ray"} <= set(description["versions"])
    assert description["settings"] == {"a": 1}


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a" * 101, "two words", "a\nb"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="--name must be letters"):
        check_name(name)


def test_a_storage_that_does_not_exist_as_a_kind_is_refused() -> None:
    with pytest.raises(StudyError, match="storage path 'nonsense://x' can't be opened"):
        Storage("nonsense://x")


def test_a_write_is_all_or_nothing(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write("file", b"old")

    with pytest.raises(TypeError):
        storage.write("file", "text")  # type: ignore[arg-type]

    assert storage.read("file") == b"old"
    assert storage.read("other") is None
