"""The same rows the way Tune leaves them, and Ray's own way to read them back.

A finished experiment is a folder with experiment_state-*.json and, for each trial, a folder with
result.json (a line per report), params.json and progress.csv, which nothing reads where there is
a result.json and which is left out here. `Tuner.restore(...).get_results()` gives a `ResultGrid`
of an `ExperimentAnalysis` of that folder; both are made here directly, which needs no running Ray
and spares Ray the restoring.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
from ray.tune import ExperimentAnalysis, ResultGrid
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from benchmarks.ray_private import trial_storage

Row = dict[str, Any]
EXPERIMENT = "experiment"
SEARCHED = ("num_branches", "model.mix", "distill.method", "distill.temperature")


def write_experiment(folder: Path, trials: dict[str, Row], epochs: dict[str, list[Row]]) -> Path:
    """Write a finished experiment of these trials.

    Args:
        folder: where the experiment's folder is made.
        trials: a row of the trials table each, by trial id.
        epochs: the rows of the epochs table, likewise.

    Returns:
        The experiment's folder.
    """
    states = []
    for trial_id, row in trials.items():
        config = {name: row[name] for name in SEARCHED}
        place = trial_storage(folder, EXPERIMENT, f"trial_{trial_id}")
        trial = Trial(
            "made",
            config=config,
            trial_id=trial_id,
            storage=place,
            stub=True,
        )
        trial.update_resources({"cpu": 1})
        results = [_result(trial_id, config, epoch) for epoch in epochs[trial_id]]
        trial.run_metadata.last_result = results[-1]
        trial.status = Trial.TERMINATED
        states.append(trial.get_json_state())
        _write_trial(folder / EXPERIMENT / f"trial_{trial_id}", config, results)
    state = {"trial_data": states, "runner_data": {}, "stats": {"start_time": time.time()}}
    name = TuneController.CKPT_FILE_TMPL.format("2025-01-01_00-00-00")
    (folder / EXPERIMENT / name).write_text(json.dumps(state))
    return folder / EXPERIMENT


def _result(trial_id: str, config: Row, epoch: Row) -> Row:
    """A report as Tune logs it: what was reported, and what Tune adds."""
    seconds, moment = epoch["epoch_s"], epoch["time"]
    return {
        **{name: value for name, value in epoch.items() if name != "time"},
        "time": moment.isoformat(),
        "timestamp": int(moment.timestamp()),
        "done": False,
        "training_iteration": epoch["epoch"],
        "date": f"{moment:%Y-%m-%d_%H-%M-%S}",
        "time_this_iter_s": seconds,
        "time_total_s": seconds * epoch["epoch"],
        "time_since_restore": seconds * epoch["epoch"],
        "iterations_since_restore": epoch["epoch"],
        "pid": 12345,
        "hostname": "node",
        "node_ip": "10.0.0.1",
        "trial_id": trial_id,
        "config": config,
    }


def _write_trial(folder: Path, config: Row, results: list[Row]) -> None:
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(config))
    lines = "".join(json.dumps(result) + "\n" for result in results)
    (folder / "result.json").write_text(lines)


def read_experiment(folder: Path) -> dict[str, pd.DataFrame]:
    """The `metrics_dataframe` of every trial of a `ResultGrid`, by trial id."""
    grid = ResultGrid(ExperimentAnalysis(str(folder)))
    frames = [grid[index].metrics_dataframe for index in range(len(grid))]
    return {str(frame["trial_id"].iloc[0]): frame for frame in frames if frame is not None}
