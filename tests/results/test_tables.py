"""Tables: whole at every moment, growing part by part, true to their schema."""

import json
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.forked import start_program
from support.helpers import ROOT
from support.tables import new_study

import ffl_ray.results
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.results.columns import TABLES
from ffl_ray.results.description import (
    check_name,
)
from ffl_ray.results.schema import (
    arrow_schema,
)
from ffl_ray.results.storage.storage import COPIES, Storage
from ffl_ray.results.writer import (
    ROWS_PER_PART,
    AppendedTable,
    KeyedTable,
)

SMALL_PART = 64


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


WRITING_FOR_EVER = f"""
import itertools, sys
from pathlib import Path

sys.path.insert(0, {str(ROOT / "tests")!r})
from support.tables import EPOCH, members, new_study

from ffl_ray.config.settings import Config
from ffl_ray.results import writer

writer.ROWS_PER_PART = {SMALL_PART}
study = new_study(Path(sys.argv[1]))
study.start("00000", Config())
for epoch in itertools.count(1):
    row = EPOCH | {{"epoch": epoch, "best_epoch": epoch}}
    study.epoch("00000", row, members(epoch), members(epoch))
"""


def test_tables_are_whole_while_they_are_written_and_after_a_kill(tmp_path: Path) -> None:
    process = start_program(WRITING_FOR_EVER, str(tmp_path))
    deadline = time.monotonic() + 60
    seen = 0
    while seen < 2 * SMALL_PART + 10 and time.monotonic() < deadline:
        if (tmp_path / "epochs" / "part-00000.parquet").exists():
            epochs = sorted(pd.read_parquet(tmp_path / "epochs").epoch)
            assert epochs == list(range(1, len(epochs) + 1))
            assert len(epochs) >= seen
            seen = len(epochs)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)

    results = ffl_ray.results.load(str(tmp_path))

    assert list(results.epochs.epoch) == list(range(1, len(results.epochs) + 1))
    assert len(results.epochs) >= seen > 2 * SMALL_PART
    new_study(tmp_path)
    assert ffl_ray.results.load(str(tmp_path)).trials.epochs_done[0] == len(results.epochs)


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
