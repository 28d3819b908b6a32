"""`python -m ffl_ray.confirm` from the outside, on a search whose tables are written by hand."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.confirmations import make_confirmation, planned
from support.forked import run, start
from support.helpers import small_config, wait_for_epochs
from support.studies import COMPLETED, make_study

import ffl_ray.results
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.confirm import command
from ffl_ray.confirm.__main__ import main, parser
from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.command import show_confirmed
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.pairs import Arm, Chosen, Run
from ffl_ray.confirm.request import request_of
from ffl_ray.confirm.tables import accuracy_of_run, read_confirmed
from ffl_ray.errors import StudyError
from ffl_ray.report import __main__ as report
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.training.predictions import Predictions, to_texts

TINY: dict[str, object] = {
    "model__mix": "2*resnet8",
    "data__fraction": 0.06,
    "optim__epochs": 3,
    "optim__batch_size": 32,
    "optim__lr": 0.01,
}
FOUND: list[tuple[float, dict[str, Any]]] = [
    (0.90, {"fusion__design": "sum"}),
    (0.95, {"fusion__design": "mean"}),
    (0.95, {"fusion__design": "mean", "seed": 7}),
    (0.10, {"fusion__design": "gated"}),
]


def config_of(changes: dict[str, Any]) -> Config:
    return small_config(**(TINY | changes))


def fabricate(
    root: Path,
    found: list[tuple[float, dict[str, Any]]] = FOUND,
    status: str = "completed",
    kind: str = "search",
    default: int | None = None,
) -> Path:
    """A study whose trials ended with these values of fused.accuracy, one the default point's."""
    settings = flatten(config_of({})) | {"search.objectives": ("fused.accuracy",)}
    objectives = parse_objectives(["fused.accuracy"])
    description = describe_study(kind, settings)
    tables = StudyTables.open(Storage(str(root / "study")), "study", description, objectives)
    for number, (value, changes) in enumerate(found):
        trial_id, config = f"{number:05d}", config_of(changes)
        columns = {"baseline": "default"} if number == default else {}
        tables.start(trial_id, config, params="{}", distributions="{}", num_workers=1, **columns)
        row = {
            "epoch": config.optim.epochs,
            "time": datetime.now(UTC),
            "objective_value": value,
            "best_epoch": config.optim.epochs,
        }
        member = {"member": "fused", "split": "val", "split_hash": "0", "accuracy": value}
        tables.epoch(trial_id, row, [member], [member])
        tables.end(trial_id, status)
    return root / "study"


def options(root: Path, *more: str) -> list[str]:
    here = ["study", "--storage-path", str(root), "--top", "2", "--seeds", "2"]
    return [*here, "--cpus-per-trial", "1", "--max-concurrent-trials", "1", *more]


def stored(root: Path) -> dict[tuple[str, int], float]:
    """Every stored epoch's loss, each stored once."""
    epochs = ffl_ray.results.load("study/confirmed", str(root)).epochs
    for run_id, rows in epochs.groupby("trial_id"):
        assert list(rows.epoch) == list(range(1, len(rows) + 1)), run_id
    return {(row.trial_id, row.epoch): row["loss.total"] for _, row in epochs.iterrows()}


def numbers_of(root: Path) -> dict[tuple[str, str], float]:
    """NLL on the test split by run and member, of completed runs."""
    members = ffl_ray.results.load("study/confirmed", str(root)).members
    assert set(members.split) <= {"test"}
    return {(row.trial_id, row.member): row.nll for _, row in members.iterrows()}


@pytest.mark.ray
def test_a_confirmation_survives_a_kill_and_never_runs_twice(tmp_path: Path) -> None:
    fabricate(tmp_path)
    process = start("confirm", *options(tmp_path), out=subprocess.PIPE)
    wait_for_epochs(tmp_path / "study" / "confirmed", 7)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before, numbers = stored(tmp_path), numbers_of(tmp_path)
    before_plan = json.loads((tmp_path / "study" / "confirmed" / "study.json").read_text())

    again = run("confirm", *options(tmp_path))
    third = run("confirm", *options(tmp_path))

    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    assert numbers
    assert before.items() <= stored(tmp_path).items()
    assert numbers.items() <= numbers_of(tmp_path).items()
    trials, _, members = ffl_ray.results.load("study/confirmed", str(tmp_path))
    assert set(trials.status) == {"completed"}
    assert sorted(trials.attempt)[-2:] <= [1, 2]  # one run was in flight, at most
    assert list(trials.epochs_done) == list(trials.epochs_planned)
    assert trials.objective_value.isna().all()
    assert set(trials.seed) == {1000, 1001}
    assert set(members.images) == {359}
    kept = sorted(p.parent.name for p in (tmp_path / "study/confirmed/checkpoints").glob("*/*"))
    assert kept == [run["run_id"] for run in before_plan["runs"] if run["seed"] == 1000]
    confirmed = tmp_path / "study" / "confirmed"
    after = json.loads((confirmed / "study.json").read_text())
    assert after["arms"] == before_plan["arms"]  # the measured speeds among them
    summary = pd.read_parquet(confirmed / "summary")
    assert list(summary[summary.role == "config"].trial_id.unique()) == ["00001", "00000"]
    assert set(summary.n) == {2}
    compared = pd.read_parquet(confirmed / "comparisons")
    assert len(compared) == 2 * 3 * 2 * 2  # configs, members, equal epochs or seconds, metrics
    branches = compared[(compared.equal == "epochs") & compared.member.str.startswith("branch")]
    assert (branches.macs == branches.baseline_macs).all()
    assert set(compared.verdict) <= {"better", "worse", "equal", "undecided"}
    assert third.returncode == 0
    assert "trainings" not in third.stdout.splitlines()[0]  # nothing was planned or started
    assert third.stdout.splitlines()[-5:] == again.stdout.splitlines()[-5:]
    assert "the 359 images of the test split" in third.stdout
    assert "The 1st look at this test split" in third.stdout
    frame = ffl_ray.results.load("study/confirmed", str(tmp_path)).predictions
    right = {(row.trial_id, row.member): row.right.mean() for _, row in frame.iterrows()}
    assert right == {(row.trial_id, row.member): row.accuracy for _, row in members.iterrows()}
    assert set(compared.over) == {"seeds and images"}
    assert after["registered"] == before_plan["registered"]
    more = run("confirm", *options(tmp_path, "--margin", "0.1"))
    assert "--margin was 0.5 and is 0.1" in more.stderr


@pytest.mark.parametrize(
    ("study", "more", "message"),
    [
        ({}, ["--seeds", "0"], "--seeds must be at least 1, not 0"),
        ({}, ["--top", "0"], "--top must be at least 1, not 0"),
        ({}, ["--arms", "default"], "--arms default must be of a search that tried its default"),
        ({}, ["--arms", "untaught", "--baselines", "seconds_alone"], "must be with alone among"),
        ({}, ["--until-decided", "--baselines", "none"], "must be with baselines"),
        (
            {},
            ["--until-decided", "--seeds", "3"],
            "--seeds must be 4 at least with --until-decided",
        ),
        (
            {},
            ["--until-decided", "--max-seeds", "4"],
            "--max-seeds must be above 4 and at most 30",
        ),
        (
            {},
            ["--until-decided", "--seeds", "6", "--max-seeds", "6"],
            "--max-seeds must be above 6 and at most 30, beyond which more than 5% of races",
        ),
        ({}, ["--until-decided", "--max-seeds", "31"], "with a false verdict, not 31"),
        ({}, ["--max-seeds", "9"], "--max-seeds must be with --until-decided, not 9 by itself"),
        (
            {},
            ["--across", "a", "b", "--seeds", "3", "--dry-run"],
            "--across must be without --dry-run, --seeds, STUDY",
        ),
        ({"default": 1}, ["--arms", "default", "--top", "1"], "must be of another config than the"),
        (
            {"default": 3},
            ["--arms", "default", "--tune-baselines", "2"],
            "of --arms default, is among the configs: give fewer with --top",
        ),
        ({}, ["--set", "optim.lr=1"], "confirm takes the study's settings as they are"),
        ({"kind": "train"}, [], "is no search: it holds a train"),
        ({"status": "pruned"}, [], "has no completed trial to confirm: search on"),
        ({"found": []}, [], "has no completed trial to confirm: search on"),
    ],
)
def test_what_can_not_be_confirmed_is_one_line(
    study: dict[str, Any],
    more: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fabricate(tmp_path, **study)

    status = main(["study", "--storage-path", str(tmp_path), *more])

    assert status == 2
    assert message in (errors := capsys.readouterr().err)
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "study" / "confirmed").exists()


def test_a_race_of_more_seeds_goes_on_where_the_version_before_planned_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = fabricate(tmp_path)
    plan = planned(seeds=range(1000, 1050))._replace(looks=47)
    settings = {"baselines": "both", "until_decided": True, "search.num_workers": 1}
    description = describe_study("confirm", settings, **plan._replace(settings=settings).dump())
    StudyTables.open(Storage(str(study / "confirmed")), "study/confirmed", description, [])
    arguments = ["study", "--storage-path", str(tmp_path), "--cpus-per-trial", "1"]

    def asked(most: str) -> list[str]:
        return [*arguments, "--until-decided", "--max-seeds", most]

    assert len(request_of(parser().parse_args(asked("50"))).seeds) == 50
    assert main(asked("49")) == 2
    assert "at most 30" in capsys.readouterr().err


def test_an_unknown_study_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing", "--storage-path", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: no study here: ")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--baselines", "epochs"], "--baselines was both and is epochs"),
        (
            ["--set", "compute.precision=bfloat16"],
            "compute.precision was not given and is bfloat16",
        ),
        (["--top", "1"], "has --top 2 and can't shrink to 1"),
        (["--until-decided", "--seeds", "5"], "--seeds was not given and is 5"),
    ],
)
def test_a_confirmation_goes_on_only_with_its_settings(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = fabricate(tmp_path)
    plans = Confirmation(
        settings={"baselines": "both", "search.num_workers": 1},
        ranked_by="fused.accuracy",
        chosen=["00001", "00000"],
        seeds=[1000, 1001],
        arms=[],
        pairs=[],
        runs=[],
    )
    description = describe_study("confirm", plans.settings, **plans.dump())
    StudyTables.open(Storage(str(study / "confirmed")), "study/confirmed", description, [])

    status = main(options(tmp_path, *more))

    assert status == 2
    assert message in (errors := capsys.readouterr().err)
    assert "give the old settings, or move " in errors
    assert len(errors.splitlines()) == 1


def test_fewer_seeds_go_on_with_the_first_and_more_find_all_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study = fabricate(tmp_path)
    chosen = [
        Chosen(trial_id, confirmed_form(small_config(**TINY, fusion__design=design)))
        for trial_id, design in (("00001", "mean"), ("00000", "sum"))
    ]
    make_confirmation(study, planned(chosen, (1000, 1001)))
    by_seeds = {}
    for seeds in (2, 1, 2):
        assert main(options(tmp_path, "--seeds", str(seeds))) == 0
        by_seeds[seeds] = shown = capfd.readouterr().out
        assert f"Every number is of {seeds} training{'s' * (seeds > 1)} (seed" in shown
        summary = pd.read_parquet(study / "confirmed" / "summary")
        assert set(summary.n) == {seeds}
        kept = json.loads((study / "confirmed" / "study.json").read_text())["seeds"]
        assert kept == [1000, 1001][:seeds]
    assert "Not all yet" not in by_seeds[1]


@pytest.mark.parametrize("killed", ["before the members", "before the end"])
def test_a_kill_after_the_test_split_was_opened_leaves_the_plan_registered(
    killed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = fabricate(tmp_path)
    chosen = [Chosen("00001", confirmed_form(small_config(**TINY, fusion__design="mean")))]
    plan = planned(chosen, (1000, 1001))._replace(top=1).as_registered()
    tables = make_confirmation(study, plan, completed=0)
    run = plan.final_runs[0]
    kept = to_texts(Predictions(np.array([True]), np.array([0.5], np.float32)))
    member = {"member": "branch0", "epoch": 3, "split": "test", "split_hash": "cd34"}
    row = {"epoch": 3, "time": datetime.now(UTC), "best_epoch": None}
    if killed == "before the members":
        tables.epoch(run.run_id, row, [member], [], [{"member": "branch0", "images": 1, **kept}])
    else:
        tables.epoch(run.run_id, row, [member], [])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tables.trials, "update", lambda *_, **__: None)
            tables.end(run.run_id, "completed")
    tables.close()

    assert main(options(tmp_path, "--top", "1", "--seeds", "3")) == 2
    assert "goes on only with the plan" in capsys.readouterr().err


def test_what_another_plan_would_take_is_told_though_one_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study, asked = fabricate(tmp_path), []
    make_confirmation(study, planned())
    monkeypatch.setattr(command, "_train", lambda request, before: asked.append((request, before)))

    main(options(tmp_path, "--margin", "0.1", "--dry-run"))

    (request, before), said = asked[0], capfd.readouterr().out
    assert before is None
    assert request.storage.location == str(study / "another")
    assert said.startswith("Of a plan anew, for ")
    assert "--margin was 0.5 and is 0.1" in said
    assert main(options(tmp_path, "--margin", "0.1")) == 2


def test_what_an_interrupted_confirmation_has_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = planned()
    tables = make_confirmation(tmp_path / "study", plan, completed=4)

    show_confirmed(plan, tables)

    shown = capfd.readouterr().out
    assert "Not all yet: 26 of 30 trainings are still to be done." in shown
    assert "not all seeds: no verdict" in shown
    assert "no pair" not in shown


def test_a_training_that_failed_is_said_wherever_its_numbers_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """On the console, in the report and in the card of what is exported."""
    study, plan = tmp_path / "study", planned()
    make_study(study, COMPLETED[:1])
    tables = make_confirmation(study, plan)
    last = plan.runs[-1]
    tables.end(last.run_id, "failed", ("TrainingDivergedError", "the loss became nan"))

    show_confirmed(plan, tables)

    said = f"in no number here: {last.arm} with seed {last.seed} (TrainingDivergedError). Numbers"
    assert said in capfd.readouterr().out
    assert report.main([str(study)]) == 0
    assert said in (study / "report.html").read_text()
    row = next(row for row in read_confirmed(tables.storage)["summary"] if row["arm"] == last.arm)
    card = accuracy_of_run(tables.storage, last.run_id, row["member"])
    assert card is not None
    assert said in card.sentence


def test_a_plan_comes_back_from_study_json_and_a_damaged_one_is_refused() -> None:
    arm = Arm("00001", "00001", flatten(config_of({})), 0.5)
    run = Run("00000", "00001", 1000)
    plans = Confirmation({}, "fused.accuracy", ["00001"], [1000], [arm], [], [run])

    stored = json.loads(json.dumps({"kind": "confirm", "settings": {}} | plans.dump()))
    loaded = Confirmation.load(stored, "here")

    assert loaded.final_runs[0].config == with_overrides(config_of({}), {"seed": 1000})
    settings = stored["arms"][0]["settings"]
    length = settings.pop("distill.ramp_up") * settings["optim.epochs"]
    settings["distill.ramp_up_epochs"] = length  # as the version before kept it
    assert Confirmation.load(stored, "here").final_runs == loaded.final_runs
    assert loaded.winners == {"00000"}
    assert loaded.seconds(loaded.final_runs) == 1.5
    with pytest.raises(StudyError, match="here/study.json is damaged: 'arms'"):
        Confirmation.load({name: value for name, value in stored.items() if name != "arms"}, "here")
    with pytest.raises(StudyError, match="here holds a study of kind train"):
        Confirmation.load(stored | {"kind": "train"}, "here")
