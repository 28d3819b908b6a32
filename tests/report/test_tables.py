"""The tables of a report: what they show of a trial is what it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.studies import COMPLETED, POINTS, Made, make_study

from ffl_ray.report.answers import answer_blocks, answers_in
from ffl_ray.report.blocks import Table
from ffl_ray.report.sections import sections
from ffl_ray.report.source import open_study
from ffl_ray.report.tables import best_trials, cost_front, how_taught, replaced, trials_table
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


def test_what_is_taught_by_a_condition_of_its_method_is_shown_so(tmp_path: Path) -> None:
    gates = {"distill.method": "ktg", "distill.gates": "fused>0=through,fused>1=through"}
    taught = {"distill.method": "independent", "distill.teacher": "there"}
    made = [Made(POINTS[1], fused=False, settings=one) for one in (gates, taught)]
    untaught = Made(POINTS[1], fused=False, settings={"distill.method": "independent"})
    objectives = ["ensemble.accuracy"]
    make_study(tmp_path, (*made, untaught), objectives=objectives).close()
    study = open_study(Storage(str(tmp_path)))

    shown = trials_table(study, study.trials)
    words = [how_taught(trial) for _, trial in study.trials.iterrows()]

    assert shown["distill.temperature"].notna().tolist() == [True, True, False]
    assert shown["fusion.design"].notna().tolist() == [True, False, False]
    assert "ktg, gated, temperature" in words[0]
    assert "independent, temperature" in words[1]
    assert words[2].endswith(", untaught")


def test_a_network_of_one_branch_has_no_accuracy_of_a_fused_one(tmp_path: Path) -> None:
    tables = make_study(tmp_path)
    tables.trials.update("00003", **{"val.fused.accuracy": None})  # it is judged by its branch
    tables.close()
    study = open_study(Storage(str(tmp_path)))

    shown = best_trials(study).set_index("trial_id")

    assert list(shown.index[shown["fused.accuracy"].isna()]) == ["00003"]
    assert shown["val.best_branch.accuracy"].notna().all()
    assert study.trials["fused.accuracy"].notna().all()


def test_what_a_budget_chose_stands_above_the_file_that_says_otherwise(tmp_path: Path) -> None:
    make_study(tmp_path).close()
    description = json.loads((tmp_path / "study.json").read_text())
    chosen = {"optim.epochs": 30, "search.backbones": ["resnet20", "resnet32"]}
    settings = description["settings"] | chosen

    of_budget = replaced({"settings": settings, "budget": {"values": chosen}})

    assert replaced(description) == ""
    assert of_budget == (
        "Chosen to fit --budget, in place of what the file below says: optim.epochs 30, "
        "search.backbones resnet20,resnet32: its mixes are of these backbones."
    )
    assert replaced({"settings": settings}).startswith("Chosen by the command, in place of")
    (tmp_path / "study.json").write_text(json.dumps(description | {"settings": settings}))
    assert "Chosen by the command" in str(sections(open_study(Storage(str(tmp_path)))))


def test_effects_on_an_accuracy_are_in_points_as_the_sentences_have_them(tmp_path: Path) -> None:
    make_study(tmp_path).close()
    study = open_study(Storage(str(tmp_path)))
    found = answers_in(study)

    blocks = answer_blocks(study, found)

    (table,) = [block for block in blocks if isinstance(block, Table)]
    level = found[0].levels[0]
    assert set(table.frame["unit"]) == {"points"}
    assert table.frame["effect"].iloc[0] == pytest.approx(100 * level.effect)
