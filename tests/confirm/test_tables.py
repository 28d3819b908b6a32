"""Summary and comparisons from a few rows, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffl_ray.confirm.compared import comparison_rows
from ffl_ray.confirm.measured import measured_arms
from ffl_ray.confirm.pairs import Arm, Pair, Run
from ffl_ray.confirm.tables import (
    failed_words,
    read_confirmed,
    run_rows,
    summary_rows,
    write_confirmed,
)
from ffl_ray.results.crossed import Effect, crossed
from ffl_ray.results.looks import Looked
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.verdicts import Difference, judged
from ffl_ray.training.predictions import Predictions

SETTINGS = {"model.mix": ["resnet20", "resnet20"], "distill.method": "ffl", "optim.epochs": 30}
ALONE = SETTINGS | {"distill.method": "independent", "optim.epochs": 60}
ARMS = [Arm("00003", "00003", SETTINGS, 2.0), Arm("independent", None, ALONE, 1.0)]
PAIR = Pair("00003", "fused", "seconds", "independent", "ensemble")
RUNS = [
    Run(f"{i:05d}", arm, seed)
    for i, (seed, arm) in enumerate((s, a.name) for s in (1000, 1001, 1002) for a in ARMS)
]


def trial(run_id: str, accelerator_s: float, status: str = "completed") -> dict[str, Any]:
    error = "TrainingDivergedError" if status == "failed" else None
    row = {"trial_id": run_id, "status": status, "error_type": error}
    return row | {"accelerator_s": accelerator_s}


def member(run_id: str, name: str, accuracy: float, split: str = "test") -> dict[str, Any]:
    return {
        "trial_id": run_id, "member": name, "split": split, "backbone": None, "images": 359,
        "accuracy": accuracy, "nll": 1.0 - accuracy, "parameters": 10, "macs": 20 + len(name),
    }  # fmt: skip


TRIALS = [trial(f"{i:05d}", 10.0 + i) for i in range(5)] + [trial("00005", 9.0, "failed")]
MEMBERS = [
    member("00000", "fused", 0.93),
    member("00000", "branch0", 0.90),
    member("00001", "ensemble", 0.90),
    member("00002", "fused", 0.94),
    member("00003", "ensemble", 0.92),
    member("00003", "ensemble", 0.1, "val"),
    member("00004", "fused", 0.95),
    member("00005", "ensemble", 0.5),
]
MEASURED = measured_arms(RUNS, TRIALS, MEMBERS)


def test_a_summary_counts_completed_runs_on_the_test_split_alone() -> None:
    rows = {(row["arm"], row["member"]): row for row in summary_rows(ARMS, MEASURED)}

    fused = rows["00003", "fused"]
    assert (fused["n"], fused["role"], fused["epochs"], fused["images"]) == (3, "config", 30, 359)
    assert fused["accuracy.mean"] == pytest.approx(0.94)
    assert fused["accuracy.std"] == pytest.approx(0.01)
    assert fused["accuracy.high"] - 0.94 == pytest.approx(4.3027 * 0.01 / 3**0.5, abs=1e-6)
    assert fused["accelerator_s"] == 12.0
    assert fused["mix"] == "2*resnet20"
    branch = rows["00003", "branch0"]
    assert (branch["n"], branch["accuracy.std"], branch["accuracy.low"]) == (1, None, None)
    baseline = rows["independent", "ensemble"]
    assert (baseline["n"], baseline["role"], baseline["trial_id"]) == (2, "baseline", None)


def test_a_comparison_pairs_the_seeds_that_both_sides_have() -> None:
    accuracy, nll = comparison_rows([PAIR], ARMS, MEASURED, 0.005)

    assert (accuracy["metric"], accuracy["n"]) == ("accuracy", 2)
    assert accuracy["difference.mean"] == pytest.approx((0.03 + 0.02) / 2)
    assert accuracy["mean"] == pytest.approx(0.935)
    assert accuracy["baseline_mean"] == pytest.approx(0.91)
    assert accuracy["verdict"] == "undecided"
    assert nll["difference.mean"] == pytest.approx(-0.025)
    assert (accuracy["macs"], accuracy["baseline_macs"]) == (25, 28)
    assert (accuracy["epochs"], accuracy["baseline_epochs"]) == (30, 60)
    assert accuracy["accelerator_s"] == 12.0
    assert accuracy["baseline_accelerator_s"] == 12.0


def test_fewer_nats_are_better() -> None:
    trials = [trial(f"{i:05d}", 1.0) for i in range(6)]
    members = [member(f"{i:05d}", "fused" if i % 2 == 0 else "ensemble", 0.9 - 0.1 * (i % 2))
               for i in range(6)]  # fmt: skip

    rows = comparison_rows([PAIR], ARMS, measured_arms(RUNS, trials, members), 0.005)

    assert [row["verdict"] for row in rows] == ["better", "better"]


def test_predictions_of_both_sides_give_intervals_over_seeds_and_images() -> None:
    rng = np.random.default_rng(0)
    runs, trials = RUNS, [trial(run.run_id, 1.0) for run in RUNS]
    kept: dict[str, dict[str, Predictions]] = {}
    members = []
    for run in runs:
        name, rate = ("fused", 0.9) if run.arm == "00003" else ("ensemble", 0.8)
        found = Predictions(rng.random(359) < rate, rng.exponential(1 - rate, 359))
        kept[run.run_id] = {name: found}
        row = member(run.run_id, name, float(found.right.mean()))
        members.append(row | {"nll": float(found.nll.mean())})

    measured = measured_arms(runs, trials, members, lambda run_id: kept[run_id])
    accuracy, nll = comparison_rows([PAIR], ARMS, measured, 0.005)

    assert {row["over"] for row in (accuracy, nll)} == {"seeds and images"}
    both = [
        np.stack([kept[run.run_id][name].right for run in runs if run.arm == arm.name])
        for arm, name in zip(ARMS, ("fused", "ensemble"), strict=True)
    ]
    expected = crossed(both[0].astype(float) - both[1], step=1)
    assert accuracy["difference.mean"] == pytest.approx(expected.mean)
    assert accuracy["difference.high"] == pytest.approx(expected.mean + expected.half())
    assert accuracy["verdict"] == "better"
    alone = comparison_rows([PAIR], ARMS, measured_arms(runs, trials, members), 0.005)[0]
    assert alone["over"] == "seeds"
    summary = summary_rows(ARMS, measured)[0]
    assert summary["over"] == "seeds and images"


def test_nothing_completed_says_so() -> None:
    measured = measured_arms(RUNS, [], [])

    assert summary_rows(ARMS, measured) == []
    rows = comparison_rows([PAIR], ARMS, measured, 0.005)
    assert {row["verdict"] for row in rows} == {"no pair: no verdict"}


def test_the_tables_are_parquet_and_are_replaced_whole(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    tables = {
        "runs": run_rows(RUNS, ARMS, TRIALS),
        "summary": summary_rows(ARMS, MEASURED),
        "comparisons": comparison_rows([PAIR], ARMS, MEASURED, 0.005),
    }

    write_confirmed(storage, tables | {"comparisons": []})
    write_confirmed(storage, tables)

    frame = pd.read_parquet(tmp_path / "comparisons")
    assert list(frame.verdict) == ["undecided", "undecided"]
    found = read_confirmed(storage)
    assert found["runs"][1] == {
        "run_id": "00001",
        "arm": "independent",
        "trial_id": None,
        "seed": 1000,
        "error_type": None,
    }
    assert [row["error_type"] for row in found["runs"]] == [None] * 5 + ["TrainingDivergedError"]
    assert {name: len(rows) for name, rows in found.items()} == {
        n: len(r) for n, r in tables.items()
    }


def test_what_failed_is_said_by_arm_with_its_seeds() -> None:
    """It is in no number, and verdicts are of what is left."""
    several = [*TRIALS[:3], trial("00003", 9.0, "failed"), *TRIALS[4:]]

    assert failed_words(run_rows(RUNS, ARMS, TRIALS[:5])) == ""
    assert failed_words(run_rows(RUNS, ARMS, several)).startswith(
        "Failed, and so in no number here: independent with seeds 1001, 1002 "
        "(TrainingDivergedError)."
    )


def test_what_a_race_decided_stays_decided_when_its_arms_go_on_for_others() -> None:
    seeds = range(1000, 1008)
    runs = [Run(f"{2 * s + b}", arm.name, s) for s in seeds for b, arm in enumerate(ARMS)]
    ours = [0.85, 0.851, 0.849, 0.85, 0.85, 0.6, 0.6, 0.6]
    members = [
        member(run.run_id, "fused", ours[run.seed - 1000])
        if run.arm == PAIR.arm
        else member(run.run_id, "ensemble", 0.8)
        for run in runs
    ]
    measured = measured_arms(runs, [trial(run.run_id, 1.0) for run in runs], members)

    once, raced = (
        comparison_rows([PAIR], ARMS, measured, 0.005, PAIR, looked=Looked(looks))[0]
        for looks in (1, 5)
    )

    assert (once["verdict"], raced["verdict"]) == ("undecided", "better")
    assert raced["p"] < 0.05 < once["p"]
    assert raced["difference.low"] < once["difference.low"]


def fused_ahead(runs: list[Run]) -> list[dict[str, Any]]:
    """Members of runs by turns of both arms, ours clearly ahead with each seed."""
    return [
        member(run.run_id, "fused", 0.85 + run.seed % 2 / 1000)
        if run.arm == PAIR.arm
        else member(run.run_id, "ensemble", 0.8)
        for run in runs
    ]


def test_a_fixed_plan_has_no_verdict_before_its_last_seed() -> None:
    """Whoever looks after each seed, and ends where it is liked, errs in one of five."""
    runs = [Run(f"{2 * s + b}", arm.name, 1000 + s) for s in range(4) for b, arm in enumerate(ARMS)]
    members = fused_ahead(runs)
    measured = measured_arms(runs, [trial(run.run_id, 1.0) for run in runs], members)

    def verdicts(planned: int, looked: Looked = Looked()) -> list[str]:
        rows = comparison_rows([PAIR], ARMS, measured, 0.005, PAIR, looked=looked, planned=planned)
        return [row["verdict"] for row in rows]

    assert verdicts(4)[0] == "better"
    assert set(verdicts(5)) == {"not all seeds: no verdict"}
    assert verdicts(8, Looked(5))[0] == "better"  # a race allows for its looks


def test_a_training_that_failed_is_waited_for_no_more() -> None:
    """It fails each time it is begun, and says nothing of the others."""
    runs = [Run(f"{2 * s + b}", arm.name, 1000 + s) for s in range(5) for b, arm in enumerate(ARMS)]
    members = fused_ahead(runs[:8])
    done = [trial(run.run_id, 1.0) for run in runs[:8]]

    def verdict(status: str) -> str:
        ends = [trial(runs[8].run_id, 1.0) | {"status": status}]
        found = measured_arms(runs, done + ends, members)
        rows = comparison_rows([PAIR], ARMS, found, 0.005, PAIR, planned=5)
        return str(rows[0]["verdict"])

    assert verdict("failed") == "better"
    assert verdict("interrupted") == verdict("running") == "not all seeds: no verdict"


def test_of_a_family_those_count_that_wait_for_seeds() -> None:
    """One of two comparisons is whole: its p is that of the first of two."""
    effect = Effect(4, 1.0, 0.04, 0.0)
    alone, one_of_two = (
        judged([Difference(effect, "up", planned=4), *more])[0]
        for more in ([], [Difference(effect, "up", planned=5)])
    )

    assert alone.p is not None
    assert one_of_two.p == 2 * alone.p
