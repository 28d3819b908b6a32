"""Studies as they are committed: the same tables, and nothing of the machine they were made on."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from support.confirmations import make_confirmation
from support.studies import COMPLETED, make_study

from benchmarks.kept import keep
from ffl_ray.errors import StudyError
from ffl_ray.results import load
from ffl_ray.results.description import read_description
from ffl_ray.results.storage.storage import Storage

TABLES = ("trials", "epochs", "members")


def test_a_study_is_kept_whole_but_for_the_place_of_its_data(tmp_path: Path) -> None:
    study, out = tmp_path / "study", tmp_path / "kept" / "study"
    place = str(tmp_path / "my data")
    make_study(study, [made._replace(settings={"data.dir": place}) for made in COMPLETED])
    make_confirmation(study)
    described = json.loads((study / "study.json").read_text(encoding="utf-8"))
    described["settings"]["data.dir"] = place
    (study / "study.json").write_text(json.dumps(described), encoding="utf-8")
    (study / "checkpoints").mkdir(exist_ok=True)
    (study / "checkpoints" / "best.pt").touch()

    keep(study, out)

    for name in (".", "confirmed"):
        before, after = load(str(study / name)), load(str(out / name))
        for table in TABLES:
            found, expected = (
                getattr(one, table).drop(columns="data.dir", errors="ignore")
                for one in (after, before)
            )
            pd.testing.assert_frame_equal(found, expected)
    assert set(load(str(out)).trials["data.dir"]) == {"DATA"}
    assert read_description(Storage(str(out)))["settings"]["data.dir"] == "DATA"
    files = [file for file in out.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".parquet"}
    assert not any(str(tmp_path).encode() in file.read_bytes() for file in files)


def test_what_is_no_study_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        keep(tmp_path, tmp_path / "kept")

    assert not (tmp_path / "kept").exists()
