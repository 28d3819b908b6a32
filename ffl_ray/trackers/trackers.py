"""TensorBoard, MLflow and Weights & Biases: how each one's callback of Ray Tune is made.

What Ray's callbacks leave undone is done here, by attributes that they have: the runs of a study
that goes on are taken up again (MLflow), what an epoch gave is written in one transaction, and an
API key stays out of the environment that Ray logs (W&B).
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ffl_ray.errors import SettingError

END_S = 30.0
SILENT_MODES = ("offline", "disabled")
RUN_STATUS = {"completed": "FINISHED", "pruned": "FINISHED", "interrupted": "KILLED"}
# MLflow's own patience with a server that is gone is minutes, for each value.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Place(NamedTuple):
    """What a tracker is told of the study.

    Attributes:
        study: its name: the experiment, the project.
        folder: where local files go.
        mark: tells this study from an earlier one of the same name.
        mlflow: URI of the user's MLflow; none: a file of the study.
    """

    study: str
    folder: Path
    mark: str
    mlflow: str | None = None

    @property
    def events(self) -> Path:
        """Where TensorBoard's event files are."""
        return self.folder / "tensorboard"


class Tracker(NamedTuple):
    """One of the tools.

    Attributes:
        module: what must be installed.
        make: its callback of Ray Tune.
        end: tell the callback how a trial ended; given the callback, the trial and our status.
        where: how to look at it.
        close: end the callback itself.
    """

    module: str
    make: Callable[[Place], Any]
    end: Callable[[Any, Any, str], None]
    where: Callable[[Place], str]
    close: Callable[[Any], None] = lambda callback: None


def check_trackers(names: Sequence[str]) -> None:
    """Check that what is asked for is installed, and that W&B has a key or works offline.

    Raises:
        SettingError: it is not.
    """
    for name in names:
        module = TRACKERS[name].module
        if importlib.util.find_spec(module) is None:
            raise SettingError(
                f'search.track {name} needs the package {module}: pip install "ffl_ray[tracking]"'
            )
    if "wandb" in names and not _wandb_is_silent() and not _wandb_key():
        raise SettingError(
            "search.track wandb needs an API key (`wandb login`, or the environment variable "
            "WANDB_API_KEY) or WANDB_MODE=offline, and there is neither"
        )


def _wandb_is_silent() -> bool:
    return os.environ.get("WANDB_MODE") in SILENT_MODES


def _wandb_key() -> str | None:
    if os.environ.get("WANDB_API_KEY"):
        return os.environ["WANDB_API_KEY"]
    import wandb

    key: str | None = wandb.api.api_key
    return key


def _tensorboard(place: Place) -> Any:
    from ray.tune.logger import TBXLoggerCallback

    return TBXLoggerCallback()  # type: ignore[no-untyped-call]


def _end_in_tensorboard(callback: Any, trial: Any, status: str) -> None:
    trial.evaluated_params["status"] = status
    callback.log_trial_end(trial, failed=status == "failed")


def _mlflow_uri(place: Place) -> str:
    return place.mlflow or f"sqlite:///{place.folder / 'mlflow.db'}"


def _mlflow(place: Place) -> Any:
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    callback: Any = MLflowLoggerCallback(
        _mlflow_uri(place), experiment_name=place.study, tags={"study_mark": place.mark}
    )
    callback.mlflow_util = MLflowRuns(callback.mlflow_util)
    return callback


def _mlflow_where(place: Place) -> str:
    # A URI of the user's may hold a password.
    uri = "$MLFLOW_TRACKING_URI" if place.mlflow else _mlflow_uri(place)
    return f"mlflow ui --backend-store-uri {uri}"


def _end_in_mlflow(callback: Any, trial: Any, status: str) -> None:
    callback.mlflow_util.statuses[str(trial)] = status
    callback.log_trial_end(trial, failed=status == "failed")


class MLflowRuns:
    """In place of Ray's `mlflow_util`: one run a trial, however often the study goes on.

    Args:
        util: Ray's, which sets MLflow up.
    """

    def __init__(self, util: Any) -> None:
        self._util = util
        self._names: dict[str, str] = {}
        self._client: Any = None
        self.statuses: dict[str, str] = {}

    def setup_mlflow(self, **where: Any) -> None:
        from mlflow.tracking import MlflowClient

        self._util.setup_mlflow(**where)
        self._client = MlflowClient(tracking_uri=where["tracking_uri"])

    def start_run(self, *, tags: dict[str, str], run_name: str) -> Any:
        mark = f"tags.study_mark = '{tags['study_mark']}' and tags.trial_name = '{run_name}'"
        found = self._client.search_runs([self._util.experiment_id], mark, max_results=1)
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
        run = found[0] if found else self._util.start_run(tags=tags, run_name=run_name)
        self._names[run.info.run_id] = run_name
        return run

    def log_params(self, *, run_id: str, params_to_log: dict[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in params_to_log.items()]
        self._client.log_batch(run_id, params=params)

    def log_metrics(self, *, run_id: str, metrics_to_log: dict[str, Any], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now, step)
            for name, value in metrics_to_log.items()
            if name != "training_iteration"
        ]
        self._client.log_batch(run_id, metrics=metrics)

    def end_run(self, *, run_id: str, status: str) -> None:
        ended = self.statuses[self._names[run_id]]
        self._client.set_tag(run_id, "status", ended)
        self._client.set_terminated(run_id, RUN_STATUS.get(ended, status))


def _wandb_folder(place: Place) -> Path:
    return Path(os.environ.get("WANDB_DIR") or place.folder)


def _wandb(place: Place) -> Any:
    import ray
    from ray.air.integrations.wandb import WandbLoggerCallback
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder = _wandb_folder(place)
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"dir": str(folder), "group": place.study}
    if os.environ.get("WANDB_MODE"):
        options["mode"] = os.environ["WANDB_MODE"]
    if not _wandb_is_silent():
        options["resume"] = "allow"
    key = os.environ.get("WANDB_API_KEY") if _wandb_is_silent() else _wandb_key()
    if key:
        options["settings"] = {"api_key": key}
    callback = WandbLoggerCallback(
        project=place.study, log_config=True, upload_timeout=int(END_S), **options
    )
    # Ray's would hand WANDB_API_KEY over in a runtime_env, which Ray writes to its logs.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote
    actor = remote(num_cpus=0, scheduling_strategy=here)
    callback._remote_logger_class = actor(callback._logger_actor_cls)
    return callback


def _end_in_wandb(callback: Any, trial: Any, status: str) -> None:
    _check_wandb(callback)
    # log_config puts what a result says of the config into the run's own.
    last = {"training_iteration": trial.epochs, "config": {"status": status}}
    callback.log_trial_result(trial.epochs, trial, last)
    callback.log_trial_end(trial, failed=status == "failed")


def _close_wandb(callback: Any) -> None:
    import ray

    futures = [*callback._trial_logging_futures.values()]
    if futures:
        ray.wait(futures, num_returns=len(futures), timeout=END_S)
    _check_wandb(callback)
    callback.on_experiment_end([])


def _check_wandb(callback: Any) -> None:
    """Raise what a process that writes to W&B raised; Ray's callback does not look."""
    import ray

    futures = [*callback._trial_logging_futures.values()]
    if futures:
        ready, _ = ray.wait(futures, num_returns=len(futures), timeout=0)
        ray.get(ready)


def _wandb_where(place: Place) -> str:
    folder = _wandb_folder(place) / "wandb"
    return f"wandb sync {folder}/offline-run-*" if _wandb_is_silent() else "wandb.ai"


TRACKERS = {
    "tensorboard": Tracker(
        "tensorboardX",
        _tensorboard,
        _end_in_tensorboard,
        lambda place: f"tensorboard --logdir {place.events}",
    ),
    "mlflow": Tracker(
        "mlflow",
        _mlflow,
        _end_in_mlflow,
        _mlflow_where,
    ),
    "wandb": Tracker("wandb", _wandb, _end_in_wandb, _wandb_where, _close_wandb),
}
