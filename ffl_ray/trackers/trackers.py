"""The registry of trackers: what each needs, and the command that shows it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ffl_ray.config.extras import is_installed
from ffl_ray.errors import SettingError
from ffl_ray.trackers.tracker import Place, Tracker
from ffl_ray.trackers.trackio_runs import trackio_runs, trackio_where
from ffl_ray.trackers.wandb_runs import wandb_is_silent, wandb_key, wandb_runs


class TrackerKind(NamedTuple):
    """One of the tools.

    Attributes:
        module: what must be installed.
        make: what writes for it.
        where: the command, or the site, that shows it.
        extra: of ffl_ray, that installs the package.
    """

    module: str
    make: Callable[[Place], Tracker]
    where: Callable[[Place], str]
    extra: str = "tracking"


def check_trackers(names: Sequence[str]) -> None:
    """Check that what is asked for is installed, and that W&B has a key or works offline.

    Raises:
        SettingError: it is not.
    """
    for name in names:
        module, extra = TRACKERS[name].module, TRACKERS[name].extra
        if not is_installed(module):
            raise SettingError(
                f'search.track {name} needs the package {module}: pip install "ffl_ray[{extra}]"'
            )
    if "wandb" in names and not wandb_is_silent() and not wandb_key():
        raise SettingError(
            "search.track wandb needs an API key (`wandb login`, or the environment variable "
            "WANDB_API_KEY) or WANDB_MODE=offline, and there is neither"
        )


def _tensorboard(place: Place) -> Tracker:
    from ffl_ray.trackers.tensorboard_files import TensorBoardFiles

    return TensorBoardFiles(place)


def _mlflow(place: Place) -> Tracker:
    from ffl_ray.trackers.mlflow_runs import MLflowRuns

    return MLflowRuns(place)


def _mlflow_where(place: Place) -> str:
    # A URI of the user's may hold a password.
    uri = "$MLFLOW_TRACKING_URI" if place.mlflow else shlex.quote(place.mlflow_uri)
    return f"mlflow ui --backend-store-uri {uri}"


def _wandb_where(place: Place) -> str:
    return (
        f"wandb sync {shlex.quote(str(place.wandb / 'wandb'))}/offline-run-*"
        if wandb_is_silent()
        else "wandb.ai"
    )


TRACKERS = {
    "tensorboard": TrackerKind(
        "tensorboardX",
        _tensorboard,
        lambda place: f"tensorboard --logdir {shlex.quote(str(place.events))}",
    ),
    "mlflow": TrackerKind("mlflow", _mlflow, _mlflow_where),
    "wandb": TrackerKind("wandb", wandb_runs, _wandb_where),
    "trackio": TrackerKind("trackio", trackio_runs, trackio_where, extra="trackio"),
}
