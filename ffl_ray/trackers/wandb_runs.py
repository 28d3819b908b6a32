"""W&B's runs: a process for each trial."""

from __future__ import annotations

import os
from typing import Any

from ffl_ray.trackers.run_processes import RunProcesses
from ffl_ray.trackers.tracker import Place, TrackedTrial

SILENT_MODES = ("offline", "disabled")


def wandb_is_silent() -> bool:
    """Whether the user has W&B send nothing."""
    return os.environ.get("WANDB_MODE") in SILENT_MODES


def wandb_key() -> str | None:
    """The user's API key, if there is one."""
    if os.environ.get("WANDB_API_KEY"):
        return os.environ["WANDB_API_KEY"]
    import wandb

    key: str | None = wandb.api.api_key
    return key


def wandb_runs(place: Place) -> RunProcesses:
    """The runs of a study's trials, in a project of its name."""
    place.wandb.mkdir(parents=True, exist_ok=True)

    def options(trial: TrackedTrial) -> dict[str, Any]:
        resumed = {} if wandb_is_silent() else {"resume": "allow"}
        return resumed | {
            "id": f"{trial.name}-{place.mark}",
            "name": trial.name,
            "project": place.study,
            "group": place.study,
            "dir": str(place.wandb),
            "config": trial.settings,
            "allow_val_change": True,
        }

    return RunProcesses("wandb", place.folder, options, {})
