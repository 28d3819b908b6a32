"""What the experiment found, from its tables: every comparison, what it rests on, the openings."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from support.confirmations import make_confirmation
from support.studies import make_study

from benchmarks.ffl_helps import shown
from benchmarks.ffl_helps.shown import main, studies_in, table
from benchmarks.kept import keep
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.look import record_look
from ffl_ray.confirm.tables import Row, read_confirmed
from ffl_ray.errors import StudyError
from ffl_ray.results.description import read_description
from ffl_ray.results.storage.storage import Storage


def confirmed(path: Path) -> None:
    make_study(path / "one")
    make_confirmation(path / "one")
    place = Storage(str(path / "one/confirmed"))
    plan = Confirmation.load(read_description(place), place.location)
    record_look(plan.as_registered(), place)


def test_all_comparisons_openings_and_the_picture_come_of_what_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confirmed(tmp_path / "results")
    keep(tmp_path / "results", tmp_path / "kept")
    picture = tmp_path / "picture.svg"

    assert main([str(tmp_path / "kept"), "--picture", str(picture)]) == 0

    said = capsys.readouterr().out
    [study] = studies_in(tmp_path / "kept")
    assert study.rows[0]["primary"]
    assert study.rows[0]["equal"] == "seconds"
    for row in study.rows:
        assert study.name(row) in said
        assert f"{100 * row['difference.mean']:+.2f} ±" in said
        assert f"**{row['verdict']}** (n {row['n']}" in said
    assert len(table([study])) == len({study.name(row) for row in study.rows})
    assert f"{study.data}: look 1 by one/confirmed, plan " in said
    assert "30 trainings, 0.0 hours of a CPU in training steps" in said
    drawn = html.unescape(picture.read_text(encoding="utf-8"))
    assert all(study.name(row) in drawn for row in study.rows)


def test_a_confirmation_that_has_only_begun_has_no_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed(tmp_path)
    read = read_confirmed

    def begun(place: Storage) -> dict[str, list[Row]]:
        nothing = {"n": 0, "macs": None, "difference.mean": None, "verdict": "no pair: no verdict"}
        found = read(place)
        return found | {"comparisons": [row | nothing for row in found["comparisons"]]}

    monkeypatch.setattr(shown, "read_confirmed", begun)

    assert main([str(tmp_path)]) == 0

    assert "no pair" not in (said := capsys.readouterr().out)
    assert "look 1 by one/confirmed" in said


def test_a_path_without_a_confirmation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no confirmed study"):
        studies_in(tmp_path)
