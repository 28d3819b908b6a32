"""The tables of a report: what they show of a trial is what it has."""

from __future__ import annotations

from pathlib import Path

from support.studies import COMPLETED, POINTS, Made, make_study

from ffl_ray.report.source import open_study
from ffl_ray.report.tables import best_trials, cost_front, how_taught, trials_table
from ffl_ray.results.reader import records
from ffl_ray.results.storage.storage import Storage

DML = Made(POINTS[1], fused=False, settings={"distill.method": "dml"})


def test_a_trial_has_no_setting_that_its_method_does_not_read(tmp_path: Path) -> None:
    make_study(tmp_path, (*COMPLETED[:3], DML), objectives=["ensemble.accuracy"]).close()
    study = open_study(Storage(str(tmp_path)))

    shown = records(trials_table(study, study.trials))[3]
    front = cost_front(study).set_index("trial_id")

    assert shown["fusion.design"] is None
    assert shown["distill.temperature"] == POINTS[1]["distill.temperature"]
    assert (front["fusion.design"].isna() == (front.index == "00003")).all()
    assert "00003" in front.index
    assert how_taught(study.trials.iloc[3]) == "resnet20+wrn16_2, dml, temperature 3.00"
    assert how_taught(study.trials.iloc[0]) == "2*resnet20, sum, temperature 1.50"


def test_a_network_of_one_branch_has_no_accuracy_of_a_fused_one(tmp_path: Path) -> None:
    tables = make_study(tmp_path)
    tables.trials.update("00003", **{"val.fused.accuracy": None})  # it is judged by its branch
    tables.close()
    study = open_study(Storage(str(tmp_path)))

    shown = best_trials(study).set_index("trial_id")

    assert list(shown.index[shown["fused.accuracy"].isna()]) == ["00003"]
    assert shown["val.best_branch.accuracy"].notna().all()
    assert study.trials["fused.accuracy"].notna().all()
