"""A file cut short by a power loss or another tool: mended from the study's own copy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.studies import COMPLETED, make_study

import ffl_ray.results
from ffl_ray.errors import StudyError
from ffl_ray.results.columns import TABLES
from ffl_ray.results.description import check_goes_on, read_description
from ffl_ray.results.storage.storage import COPIES, Storage
from ffl_ray.results.study import StudyTables

FIRST = "part-00000.parquet"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut, empty, overwrite, remove])
@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_part_is_mended_when_the_study_goes_on(
    table: str, damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_study(tmp_path)
    before = ffl_ray.results.load(str(tmp_path))
    damage(tmp_path / table / FIRST)  # type: ignore[operator]

    StudyTables(Storage(str(tmp_path)), "made")

    after = ffl_ray.results.load(str(tmp_path))
    for old, new in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(old, new)
    assert f"{table}/{FIRST} was damaged or gone, and was mended from its copy" in caplog.text


def test_a_reader_names_the_damaged_part_and_says_what_mends_it(tmp_path: Path) -> None:
    make_study(tmp_path)
    cut(tmp_path / "epochs" / FIRST)

    with pytest.raises(StudyError, match=rf"epochs/{FIRST} can't be read \(.*started again, mends"):
        ffl_ray.results.load(str(tmp_path))


def test_a_part_whose_copy_is_damaged_too_is_an_error_that_helps(tmp_path: Path) -> None:
    make_study(tmp_path)
    cut(tmp_path / "epochs" / FIRST)
    cut(tmp_path / COPIES / "epochs" / FIRST)

    with pytest.raises(StudyError, match=rf"epochs/{FIRST} can't be read"):
        StudyTables(Storage(str(tmp_path)), "made")


def test_a_study_of_an_earlier_version_has_no_copies_and_goes_on(tmp_path: Path) -> None:
    make_study(tmp_path, COMPLETED[:2])
    for path in sorted((tmp_path / COPIES).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()

    tables = StudyTables(Storage(str(tmp_path)), "made")

    assert len(tables.trials.rows) == 2


@pytest.mark.parametrize("damage", [cut, empty, overwrite])
def test_a_damaged_description_is_mended_when_the_study_goes_on(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_study(tmp_path)
    whole = (tmp_path / "study.json").read_bytes()
    settings = read_description(Storage(str(tmp_path)))["settings"]
    damage(tmp_path / "study.json")  # type: ignore[operator]
    with pytest.raises(StudyError, match=r"study.json is damaged .* started again, mends it"):
        ffl_ray.results.load(str(tmp_path))

    assert check_goes_on(Storage(str(tmp_path)), "search", settings)

    assert (tmp_path / "study.json").read_bytes() == whole
    assert "study.json was damaged, and was mended from its copy" in caplog.text
