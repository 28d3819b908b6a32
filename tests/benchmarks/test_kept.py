"""Studies as they are committed: the same tables, and nothing of the machine they were made on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.confirmations import make_confirmation
from support.studies import COMPLETED, make_study

from benchmarks.kept import keep
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.look import look_of, record_look
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.results import load
from ffl_ray.results.description import read_description
from ffl_ray.results.openings import openings_of
from ffl_ray.results.storage.storage import Storage

TABLES = ("trials", "epochs", "members")


def rewritten(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    described = json.loads(file.read_text(encoding="utf-8"))
    change(described)
    file.write_text(json.dumps(described, indent=2), encoding="utf-8")


def confirmed_study(folder: Path, place: str | None, moved: str | None) -> None:
    """A study of data in one place, and its confirmation, which has them in another."""
    make_study(folder, [made._replace(settings={"data.dir": place}) for made in COMPLETED])
    make_confirmation(folder)
    rewritten(folder / "study.json", lambda found: found["settings"].update({"data.dir": place}))

    def move(found: dict[str, Any]) -> None:
        for arm in found["arms"]:
            arm["settings"]["data.dir"] = moved

    rewritten(folder / "confirmed" / "study.json", move)


@pytest.mark.parametrize("is_placed", [True, False])
def test_a_study_is_kept_whole_but_for_the_places_of_its_data(
    is_placed: bool, tmp_path: Path
) -> None:
    study, out = tmp_path / "study", tmp_path / "kept" / "study"
    places = (str(tmp_path / "my data"), str(tmp_path / "moved")) if is_placed else (None, None)
    confirmed_study(study, *places)
    (study / "checkpoints").mkdir(exist_ok=True)
    (study / "checkpoints" / "best.pt").touch()

    keep(study, out)
    keep(study, out)

    for name in (".", "confirmed"):
        before, after = load(str(study / name)), load(str(out / name))
        for table in TABLES:
            found, expected = (
                getattr(one, table).drop(columns="data.dir", errors="ignore")
                for one in (after, before)
            )
            pd.testing.assert_frame_equal(found, expected)
        described = (study / name / "study.json").read_text(encoding="utf-8")
        for place in filter(None, places):
            described = described.replace(json.dumps(place), '"DATA"')
        assert (out / name / "study.json").read_text(encoding="utf-8") == described
    kept = {"DATA"} if is_placed else set()
    assert set(load(str(out)).trials["data.dir"].dropna()) == kept
    files = [file for file in out.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".parquet"}
    assert not any(str(tmp_path).encode() in file.read_bytes() for file in files)


def test_a_storage_path_is_kept_with_the_ledger_of_its_openings(tmp_path: Path) -> None:
    path, out = tmp_path / "results", tmp_path / "kept" / "results"
    for name in ("one", "two"):
        confirmed_study(path / name, None, None)
        confirmed = Storage(str(path / name)).child("confirmed")
        plan = Confirmation.load(read_description(confirmed), confirmed.location)
        record_look(plan.as_registered(), confirmed)

    keep(path, out)
    keep(path, out)

    for name in ("one", "two"):
        there = Storage(str(out / name)).child("confirmed")
        plan = Confirmation.load(read_description(there), there.location).as_registered()
        look = look_of(plan, there)
        assert look.place.location == str(out)
        assert [one.study for one in openings_of(look.place, look.split)] == [
            "one/confirmed",
            "two/confirmed",
        ]
    (path / "of-ray").mkdir()
    (path / "of-ray" / "result.json").write_text("{}\n{}\n")
    keep(path, out)
    assert not (out / "of-ray").exists()
    (out / "one" / "checkpoints").mkdir()
    (out / "one" / "checkpoints" / "best.json").touch()
    with pytest.raises(SettingError, match="FOLDER must be new, or hold what was kept"):
        keep(path, out)
    assert (out / "one" / "checkpoints" / "best.json").exists()


def test_a_study_that_lost_its_description_is_no_storage_path(tmp_path: Path) -> None:
    confirmed_study(tmp_path / "study", None, None)
    (tmp_path / "study" / "study.json").unlink()

    with pytest.raises(StudyError):
        keep(tmp_path / "study", tmp_path / "kept")


@pytest.mark.parametrize("out", [".", "study", "study/confirmed/kept", "other"])
def test_no_folder_of_another_is_replaced(out: str, tmp_path: Path) -> None:
    make_study(tmp_path / "study")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()

    with pytest.raises(SettingError, match="FOLDER must"):
        keep(tmp_path / "study", tmp_path / out)

    assert len(load(str(tmp_path / "study")).trials) == len(COMPLETED)
    assert (tmp_path / "other" / "mine.txt").exists()


def test_what_is_no_study_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        keep(tmp_path, tmp_path / "kept")

    assert not (tmp_path / "kept").exists()
