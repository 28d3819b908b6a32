"""A study's tables in Arrow and Polars: the same rows as pandas', and the same memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest
from support.late import Late
from support.studies import make_study

import ffl_ray.results
from ffl_ray.errors import SettingError
from ffl_ray.results import frames

pl = Late("polars")


@pytest.mark.parametrize("table", ["trials", "epochs", "members"])
def test_arrow_and_polars_have_the_rows_of_pandas(table: str, tmp_path: Path) -> None:
    make_study(tmp_path)
    expected = getattr(ffl_ray.results.load(str(tmp_path)), table)

    found = ffl_ray.results.arrow(str(tmp_path), table)
    frame = ffl_ray.results.polars(str(tmp_path), table)

    assert found.num_rows == len(frame) == len(expected) > 0
    assert found.column_names == frame.columns == list(expected.columns)
    assert sorted(frame["trial_id"]) == sorted(expected["trial_id"])
    assert frame.schema["trial_id"] == pl.String


def test_numbers_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_study(tmp_path)
    read = ffl_ray.results.arrow(str(tmp_path), "epochs")
    monkeypatch.setattr(frames, "arrow", lambda *_: read)

    frame = ffl_ray.results.polars(str(tmp_path), "epochs")

    (mine,) = (chunk for chunk in read["lr"].chunks if len(chunk))
    theirs = frame["lr"].to_arrow()
    assert isinstance(theirs, pa.Array)
    assert theirs.buffers()[1].address == mine.buffers()[1].address


def test_a_table_that_a_study_has_not_is_empty(tmp_path: Path) -> None:
    make_study(tmp_path)

    assert ffl_ray.results.arrow(str(tmp_path), "comparisons").num_rows == 0
    assert "taken_for" in ffl_ray.results.polars(str(tmp_path), "classes").columns


def test_an_unknown_table_and_no_polars_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path)

    with pytest.raises(SettingError, match="table must be one of trials, .* not 'epoch'"):
        ffl_ray.results.arrow(str(tmp_path), "epoch")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(SettingError, match="needs Polars: pip install polars"):
        ffl_ray.results.polars(str(tmp_path))
