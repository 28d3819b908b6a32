"""A study that can't be read is refused in one line, which names it and says what helps."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.studies import make_study

import ffl_ray.results
from ffl_ray.errors import StudyError
from ffl_ray.results.description import read_description
from ffl_ray.results.reader import check_has_trials, find_study, load_tables, read_rows, records
from ffl_ray.results.schema import SCHEMA_VERSION
from ffl_ray.results.storage.storage import COPIES, Storage

COPY = "copy the whole folder again from where it was written"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change(path: Path, **keys: object) -> None:
    described = json.loads(path.read_text()) | keys
    path.write_text(json.dumps({k: v for k, v in described.items() if v is not None}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no study here: .*holds no study.json; give a study's folder, or"),
    "no study.json": (
        lambda folder: (folder / "study.json").unlink(),
        f"is half-written: it has tables and no study.json; {COPY}",
    ),
    "study.json cut off": (
        lambda folder: cut(folder / "study.json"),
        rf"study.json is damaged \(.*\): {COPY}",
    ),
    "study.json empty": (
        lambda folder: (folder / "study.json").write_text(""),
        rf"study.json is damaged \(.*\): {COPY}",
    ),
    "study.json without its kind": (
        lambda folder: change(folder / "study.json", kind=None),
        rf"study.json is damaged \(it has no 'kind'\): {COPY}",
    ),
    "a newer schema": (
        lambda folder: change(folder / "study.json", schema_version=SCHEMA_VERSION + 1),
        f"has schema version {SCHEMA_VERSION + 1}, and .* up to {SCHEMA_VERSION}: upgrade ffl_ray",
    ),
    "a newer schema of another shape": (
        lambda folder: (folder / "study.json").write_text('{"schema_version": 99}'),
        "has schema version 99.*: upgrade ffl_ray",
    ),
    "a part cut off": (
        lambda folder: cut(folder / "epochs" / "part-00000.parquet"),
        rf"epochs/part-00000.parquet can't be read \(.*\): {COPY}",
    ),
    "a part empty": (
        lambda folder: (folder / "trials" / "part-00000.parquet").write_bytes(b""),
        rf"trials/part-00000.parquet can't be read \(.*\): {COPY}",
    ),
    "a table's folder missing": (
        lambda folder: shutil.rmtree(folder / "members"),
        f"is half-written: it has no members table; {COPY}, or start its command again",
    ),
    "a table's parts missing": (
        lambda folder: (folder / "trials" / "part-00000.parquet").unlink(),
        f"is half-written: it has no trials table; {COPY}, or start its command again",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_wrong_with_a_folder_is_one_line_with_its_fix(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    make_study(folder)
    shutil.rmtree(folder / COPIES)
    damage, message = DAMAGE[kind]
    damage(folder)

    with pytest.raises(StudyError, match=message) as caught:
        ffl_ray.results.load("mine", str(tmp_path))

    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_an_empty_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=f"no study here: {tmp_path} holds no study.json"):
        find_study(str(tmp_path))


def test_a_missing_address_is_named_alone(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/nothing"

    with pytest.raises(StudyError, match=f"no study here: {tmp_path}/nothing holds no study.json"):
        find_study(uri)


def test_a_study_without_a_trial_loads_and_can_be_refused(tmp_path: Path) -> None:
    make_study(tmp_path, trials=())
    storage = find_study(str(tmp_path))

    tables = load_tables(storage)

    assert [len(table) for table in tables] == [0, 0, 0]
    with pytest.raises(StudyError, match=f"{tmp_path} has no trial yet: wait for its first one"):
        check_has_trials(storage, tables.trials)


def test_an_optuna_study_refuses_the_same(tmp_path: Path) -> None:
    make_study(tmp_path)
    shutil.rmtree(tmp_path / "epochs")

    with pytest.raises(StudyError, match="it has no epochs table"):
        ffl_ray.results.optuna_study(str(tmp_path))


def test_an_address_and_a_folder_give_the_same(tmp_path: Path) -> None:
    make_study(tmp_path)

    by_uri = ffl_ray.results.load(f"file://{tmp_path}")

    assert by_uri.trials.equals(ffl_ray.results.load(str(tmp_path)).trials)
    assert read_description(Storage(f"file://{tmp_path}"))["study"] == "made"


def test_rows_of_a_frame_are_the_rows_of_the_table(tmp_path: Path) -> None:
    make_study(tmp_path)
    storage = Storage(str(tmp_path))

    from_frame = records(load_tables(storage).epochs)

    assert from_frame == read_rows(storage, "epochs")
    assert isinstance(from_frame[0]["val.branches.accuracy"], list)
