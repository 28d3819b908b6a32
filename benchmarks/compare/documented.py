"""The other side of `compare study`: the same trials the way Ray's documentation writes them.

A Tune function that starts a TorchTrainer of one worker for each trial, with TuneReportCallback
(docs.ray.io, Ray Train user guides, "Hyperparameter Tuning with Ray Tune"). Each worker trains
what ffl_ray's own trial trains, and stores and reports each epoch through Ray Train. Only the
driver's CPU is not as documented: with one each, two drivers on two CPUs starve their workers.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray import tune
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from ffl_ray.config.methods import resolved_from
from ffl_ray.training.worker import run_worker


class OneWorker:
    """The session of a worker that Ray Train has started; its trial stores and reports there."""

    rank = 0
    world_size = 1
    num_threads = 1

    def __init__(self) -> None:
        self.device: torch.device | None = None
        self._files: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return None

    def write(self, name: str, data: bytes) -> None:
        self._files[name] = data

    def report(self, report: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "latest.pt").write_bytes(self._files["latest.pt"])
            row = report.row
            ray.train.report(
                {
                    "objective_value": row["objective_value"],
                    "epoch_s": row["epoch_s"],
                    "epoch_ended": row["time"].timestamp(),
                },
                checkpoint=ray.train.Checkpoint.from_directory(folder),
            )


def train_fn(config: dict[str, Any]) -> None:
    """The training that the worker runs."""
    run_worker(resolved_from(config), OneWorker())


def driver_fn(config: dict[str, Any]) -> None:
    """The driver that each trial of Tune runs: it starts a training of its own."""
    callbacks: list[Any] = [TuneReportCallback()]  # type: ignore[no-untyped-call]
    trainer = TorchTrainer(
        train_fn,
        train_loop_config=config["settings"] | {"distill.temperature": config["temperature"]},
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(
            name=tune.get_context().get_trial_id(),
            storage_path=config["storage_path"],
            callbacks=callbacks,
        ),
    )
    trainer.fit()


class Clock(tune.Callback):
    """The moments at which each trial started, reported and ended."""

    def __init__(self) -> None:
        self.trials: dict[str, dict[str, Any]] = {}

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.trials[trial.trial_id] = {"started": time.time(), "ended": None, "epochs": []}

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "epoch_s" in result:
            epoch = (result["epoch_ended"], result["epoch_s"])
            self.trials[trial.trial_id]["epochs"].append(epoch)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.trials[trial.trial_id]["ended"] = time.time()


def main(settings: str, count: str, at_once: str, folder: str) -> None:
    """Run the study, and write what its clock noted to times.json in its folder."""
    clock = Clock()
    tune.Tuner(
        tune.with_resources(driver_fn, {"memory": 1}),
        param_space={
            "temperature": tune.loguniform(1.0, 8.0),
            "settings": json.loads(settings),
            "storage_path": folder,
        },
        tune_config=tune.TuneConfig(num_samples=int(count), max_concurrent_trials=int(at_once)),
        run_config=tune.RunConfig(name="tune", storage_path=folder, callbacks=[clock]),
    ).fit()
    (Path(folder) / "times.json").write_text(json.dumps([*clock.trials.values()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
