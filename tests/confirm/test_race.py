"""A race's rounds: seeds where a verdict is open, and the same ones after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.confirmations import CHOSEN, finish, make_confirmation, planned, rows_of

from ffl_ray.confirm.command import show_confirmed
from ffl_ray.confirm.confirmation import (
    Confirmation,
    compared_rows,
    measured_runs,
    write_tables,
)
from ffl_ray.confirm.race import every_round, given_words, rounds, still_waiting
from ffl_ray.errors import FAILED, INTERRUPTED
from ffl_ray.orchestration.final_run import FinalRun, waiting_runs
from ffl_ray.orchestration.final_runs import view_of
from ffl_ray.results.study import StudyTables
from ffl_ray.results.verdicts import FAILS

SEEDS = tuple(range(1000, 1008))


def race() -> Confirmation:
    plan = planned(CHOSEN[:1], SEEDS)
    return plan._replace(looks=len(SEEDS) - 3)


def members(run_id: str, plan: Confirmation, config: Any) -> list[dict[str, Any]]:
    """Taught branches are clearly better; ensemble and fused differ by chance."""
    rows = rows_of(config)
    taught = config.distill.method != "independent"
    for row in rows:
        if row["member"] in ("ensemble", "fused"):
            row["accuracy"] = 0.8 + (0.05 if taught and config.seed % 2 else 0.0)
    return rows


def train(tables: StudyTables, plan: Confirmation, most: int | None = None) -> list[set[str]]:
    """The arms of each round, trained one after the other.

    Args:
        most: trainings after which it is killed.
    """
    found = []
    for runs in rounds(plan, tables):
        arms = {run.run_id: run.arm for run in plan.runs}
        found.append({arms[run.run_id] for run in runs})
        done = {row["trial_id"] for row in tables.trials.rows if row["status"] == "completed"}
        for run in runs:
            if run.run_id in done:
                continue
            if most == 0:
                return found
            most = None if most is None else most - 1
            tables.start(run.run_id, run.config)
            finish(tables, run.run_id, run.config, members(run.run_id, plan, run.config))
    return found


def test_seeds_go_where_a_verdict_is_open(tmp_path: Path) -> None:
    plan = race()
    tables = make_confirmation(tmp_path / "s", plan, completed=0)

    arms = train(tables, plan)

    assert arms[0] == {arm.name for arm in plan.arms}
    assert len(arms) == plan.looks
    assert "independent resnet20, 3 epochs" in arms[0]
    assert "independent resnet20, 3 epochs" not in arms[-1]  # its branches are decided
    assert "independent 2*resnet20, 3 epochs" in arms[-1]
    assert still_waiting(plan, tables) == []
    used = {run.run_id for run in plan.runs} - {row["trial_id"] for row in tables.trials.rows}
    assert used  # not all that was planned was trained


def test_a_first_look_of_more_seeds_is_the_first_round(tmp_path: Path) -> None:
    plan = race()._replace(looks=3)
    tables = make_confirmation(tmp_path / "s", plan, completed=0)

    first = next(rounds(plan, tables))

    assert {run.config.seed for run in first} == set(SEEDS[:6])
    assert len(first) == 6 * len(plan.arms)
    train(tables, plan)
    verdicts = compared_rows(plan, measured_runs(tables, plan.asked))
    assert "better" in {row["verdict"] for row in verdicts}
    of_five = [run for run in plan.runs if run.seed in SEEDS[:5]]
    early = compared_rows(plan, measured_runs(tables, of_five))
    assert {row["verdict"] for row in early} == {"undecided"}


def test_a_round_is_counted_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = race()
    tables = make_confirmation(tmp_path / "s", plan, completed=0)
    each = rounds(plan, tables)
    for run in next(each):
        tables.start(run.run_id, run.config)
        finish(tables, run.run_id, run.config, members(run.run_id, plan, run.config))
    second = next(each)

    with view_of(tables, second, "round 2") as view:
        view.trial_ended(second[0].run_id, "completed", {"epochs_done": 3, "epochs_planned": 3})

    said = capfd.readouterr().out.splitlines()
    assert said[1].startswith(f"1/{len(second)} {second[0].run_id} completed after 3 of 3 epochs")


def test_a_race_that_was_killed_has_the_same_rounds_and_verdicts(tmp_path: Path) -> None:
    plan = race()
    whole = make_confirmation(tmp_path / "whole", plan, completed=0)
    expected = train(whole, plan)
    verdicts = write_tables(plan, whole)["comparisons"]
    assert {"better", "undecided"} <= {row["verdict"] for row in verdicts}

    for most in (4, 20):  # in the first round, and in one after it
        killed = make_confirmation(tmp_path / f"killed-{most}", plan, completed=0)
        train(killed, plan, most)
        assert still_waiting(plan, killed)
        again = train(killed, plan)

        assert again == expected
        trained = [{row["trial_id"] for row in tables.trials.rows} for tables in (whole, killed)]
        assert trained[0] == trained[1]
        assert write_tables(plan, killed)["comparisons"] == verdicts


def test_a_race_goes_on_without_a_training_that_fails(tmp_path: Path) -> None:
    """It fails each time it is begun: waiting for it, the race would never end."""
    plan = race()
    tables = make_confirmation(tmp_path / "s", plan, completed=0)
    fails = next(run.run_id for run in plan.runs if run.seed == SEEDS[0])

    def train(number: int, runs: Sequence[FinalRun]) -> int:
        for run in waiting_runs(tables, runs):
            tables.start(run.run_id, run.config)
            if run.run_id == fails:
                tables.end(run.run_id, "failed", ("TrainingDivergedError", "the loss became nan"))
            else:
                finish(tables, run.run_id, run.config, members(run.run_id, plan, run.config))
        return FAILED if number == 1 else 0

    assert every_round(plan, tables, train) == FAILED

    rows = tables.trials.rows
    assert {run.seed for run in plan.runs if run.run_id in {r["trial_id"] for r in rows}} == {
        *SEEDS
    }
    assert still_waiting(plan, tables, failed=False) == []
    verdicts = write_tables(plan, tables)["comparisons"]
    assert still_waiting(plan, tables) == []  # it is not begun again: looks were taken without it
    assert given_words(plan, tables).startswith("One failed training is not begun again")
    assert every_round(plan, tables, train) == FAILED  # of this round 1, which has none to train
    assert write_tables(plan, tables)["comparisons"] == verdicts
    assert every_round(plan, tables, lambda number, runs: INTERRUPTED) == INTERRUPTED


def test_what_failed_begins_again_as_long_as_no_verdict_was_given_without_it(
    tmp_path: Path,
) -> None:
    plan = race()
    tables = make_confirmation(tmp_path / "s", plan, completed=0)
    first, *_, last = next(rounds(plan, tables))
    tables.start(first.run_id, first.config)
    tables.end(first.run_id, "failed", ("OutOfMemoryError", "no memory"))

    assert still_waiting(plan, tables)[0].run_id == first.run_id  # its round is under way
    for run in waiting_runs(tables, next(rounds(plan, tables)), failed=False):
        tables.start(run.run_id, run.config)
        tables.end(run.run_id, "failed", ("OutOfMemoryError", "no memory"))

    assert still_waiting(plan, tables)[-1].run_id == last.run_id  # of nothing there is a verdict
    assert given_words(plan, tables) == ""


def test_a_baseline_that_always_fails_does_not_cost_its_partner_the_whole_race(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = race()
    tables = make_confirmation(tmp_path / "s", plan, completed=0)
    fails = "independent 2*resnet20, 3 epochs", "independent 2*resnet20, 6 epochs"
    arms = {run.run_id: run.arm for run in plan.runs}
    for count, runs in enumerate(rounds(plan, tables), start=1):
        assert count == 1  # all other comparisons are decided then
        for run in waiting_runs(tables, runs, failed=False):
            tables.start(run.run_id, run.config)
            if arms[run.run_id] in fails:
                tables.end(run.run_id, "failed", ("TrainingDivergedError", "the loss became nan"))
            else:
                finish(tables, run.run_id, run.config, rows_of(run.config))

    show_confirmed(plan, tables)
    said = " ".join(capfd.readouterr().out.split())
    assert f"No verdict between 00004 and {fails[0]}; 00004 and {fails[1]}: every" in said
    rows = write_tables(plan, tables)["comparisons"]
    assert {row["verdict"] for row in rows if row["baseline"] in fails} == {FAILS}


def test_without_a_race_there_is_one_round(tmp_path: Path) -> None:
    plan = planned()
    tables = make_confirmation(tmp_path / "s", plan, completed=2)

    assert list(rounds(plan, tables)) == [plan.final_runs]
    assert len(still_waiting(plan, tables)) == len(plan.runs) - 2
