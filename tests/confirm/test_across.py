"""One verdict over several confirmed studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.confirmations import CHOSEN, make_confirmation, planned

from ffl_ray.confirm.__main__ import main
from ffl_ray.confirm.across import _check_alike, verdict_over, words
from ffl_ray.confirm.confirmation import write_tables
from ffl_ray.confirm.tables import read_confirmed
from ffl_ray.errors import SettingError
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables


def study(root: Path, name: str) -> None:
    """A confirmed study on a data set of its own."""
    StudyTables.open(Storage(str(root / name)), name, describe_study("search", {}), ())
    make_confirmation(root / name)
    file = root / name / "confirmed" / "study.json"
    text = json.loads(file.read_text())
    text["data"]["classes"] = [name, "other"]
    file.write_text(json.dumps(text))


def test_each_data_set_stands_beside_the_verdict_over_all(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "three"):
        study(tmp_path, name)

    places = [str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "three" / "confirmed")]
    assert main(["--across", *places]) == 0

    said = capfd.readouterr().out
    assert said.count("independent resnet20") == 3
    assert "Over 3 data sets: better" in said
    assert "on the mean over data sets like these" in said
    assert "another one" in said
    assert "points are to be expected" in said
    assert main(["--across", *places, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert [row["study"] for row in told["comparisons"]] == places
    assert (told["across"]["verdict"], told["across"]["n"]) == ("better", 3)
    assert told["across"]["another.low"] < told["across"]["low"] < told["across"]["another.high"]
    assert main(["--across", str(tmp_path / "one")]) == 2
    assert "--across must name two studies or more" in capfd.readouterr().err
    assert main(["--across", *places, "--margin", "nan"]) == 2
    assert "--margin must be above 0" in capfd.readouterr().err


def test_two_studies_of_one_data_set_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b", "c"):
        study(tmp_path / folder, "same" if folder != "c" else "other")

    places = [str(tmp_path / "a/same"), str(tmp_path / "c/other"), str(tmp_path / "b/same")]
    assert main(["--across", *places]) == 2

    said = capfd.readouterr().err
    assert "--across must name studies of data sets of their own" in said
    assert f"{places[0]} and {places[2]} have one test split" in said


def test_a_study_without_a_confirmation_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study(tmp_path, "one")
    bare = Storage(str(tmp_path / "bare"))
    StudyTables.open(bare, "bare", describe_study("search", {}), ())

    assert main(["--across", str(tmp_path / "one"), str(tmp_path / "bare")]) == 2

    assert "has no primary comparison of two seeds or more" in capfd.readouterr().err


def test_a_plan_that_lacks_seeds_has_no_part_in_a_verdict(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        study(tmp_path, name)
    plan = planned()
    more = plan._replace(seeds=[*plan.seeds, 2000])
    tables = StudyTables(Storage(str(tmp_path / "two/confirmed")), "two/confirmed")
    write_tables(more, tables)

    assert main(["--across", str(tmp_path / "one"), str(tmp_path / "two")]) == 2
    assert "lacks some of its planned seeds, 3 are there" in capfd.readouterr().err


def test_a_race_that_has_not_ended_has_no_part_in_a_verdict(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its primary comparison is decided, or has an interval at least, at every look."""
    for name in ("one", "two"):
        study(tmp_path, name)
    seeds = tuple(range(1000, 1008))
    race = planned(CHOSEN[:1], seeds)._replace(looks=5)
    tables = make_confirmation(tmp_path / "going", race, completed=4 * len(race.arms) - 1)
    tables.close()
    StudyTables.open(Storage(str(tmp_path / "going")), "going", describe_study("search", {}), ())
    write_tables(race, tables)
    places = [str(tmp_path / "one"), str(tmp_path / "going")]

    assert main(["--across", *places]) == 2

    said = capfd.readouterr().err
    assert "confirmed has not ended" in said
    assert f"python -m ffl_ray.confirm going --storage-path {tmp_path} and the options" in said


def test_the_margin_is_the_one_that_was_registered(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        study(tmp_path, name)
    places = [str(tmp_path / "one"), str(tmp_path / "two")]

    assert main(["--across", *places, "--margin", "5"]) == 2
    assert f"--margin must be what {places[0]} has registered, 0.5" in capfd.readouterr().err


def test_data_sets_that_disagree_are_undecided(tmp_path: Path) -> None:
    study(tmp_path, "one")
    rows = read_confirmed(Storage(str(tmp_path / "one/confirmed")))["comparisons"]
    row = next(row for row in rows if row["primary"])
    turned = row | {
        "difference.mean": -row["difference.mean"],
        "difference.low": -row["difference.high"],
        "difference.high": -row["difference.low"],
    }

    found = verdict_over([row, turned], 0.005)
    assert (found.judged.verdict, found.another) == ("undecided", None)
    assert "of which so few say nothing" in words(found, 0.5)


def test_comparisons_with_several_kinds_of_baselines_are_refused() -> None:
    rows: dict[str, Any] = {
        "old": {"kind": None, "equal": "seconds"},
        "one": {"kind": "alone", "equal": "seconds"},
        "two": {"kind": "default", "equal": "seconds"},
        "three": {"kind": "alone", "equal": "epochs"},
    }

    _check_alike({name: rows[name] for name in ("old", "one")})
    with pytest.raises(SettingError, match=r"one kind of baseline, not one \(alone, equal sec"):
        _check_alike({name: rows[name] for name in ("old", "one", "two")})
    with pytest.raises(SettingError, match=r"not one \(alone, equal seconds\), three"):
        _check_alike({name: rows[name] for name in ("one", "three")})
