"""MLflow's runs: one a trial, however often the study goes on."""

from __future__ import annotations

import os
import time

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from ffl_ray.trackers.tracker import Place, TrackedTrial

RUN_STATUS = {"completed": "FINISHED", "pruned": "FINISHED", "interrupted": "KILLED"}
# Its own retries of a server that is gone take minutes, for each value.
RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MLflowRuns:
    """A tracker that writes each epoch in one transaction."""

    def __init__(self, place: Place) -> None:
        for name, value in RETRIES.items():
            os.environ.setdefault(name, value)
        self._client = MlflowClient(tracking_uri=place.mlflow_uri)
        self._experiment = self._experiment_of(place.study)
        self._mark = place.mark
        self._runs: dict[str, str] = {}

    def _experiment_of(self, study: str) -> str:
        chosen = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if chosen:
            return chosen
        found = self._client.get_experiment_by_name(study)
        made: str = found.experiment_id if found else self._client.create_experiment(study)
        return made

    def start(self, trial: TrackedTrial) -> None:
        tags = {"study_mark": self._mark, "trial_name": trial.name}
        same = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        found = self._client.search_runs([self._experiment], same, max_results=1)
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
            run = found[0]
        else:
            run = self._client.create_run(self._experiment, tags=tags, run_name=trial.name)
        self._runs[trial.name] = run.info.run_id
        params = [Param(name, str(value)) for name, value in trial.settings.items()]
        self._client.log_batch(run.info.run_id, params=params)

    def epoch(self, trial: TrackedTrial, epoch: int, numbers: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, epoch) for name, value in numbers.items()]
        self._client.log_batch(self._runs[trial.name], metrics=metrics)

    def end(self, trial: TrackedTrial, status: str) -> None:
        run_id = self._runs.pop(trial.name)
        self._client.set_tag(run_id, "status", status)
        self._client.set_terminated(run_id, RUN_STATUS.get(status, "FAILED"))

    def close(self) -> None:
        pass
