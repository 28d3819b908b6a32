"""Trackio's runs: a process for each trial, into the study's folder or where the user has them."""

from __future__ import annotations

import os
import shlex
from typing import Any

from ffl_ray.trackers.run_processes import RunProcesses
from ffl_ray.trackers.tracker import Place, TrackedTrial

FOLDER = "TRACKIO_DIR"
ELSEWHERE = (FOLDER, "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def trackio_runs(place: Place) -> RunProcesses:
    """The runs of a study's trials, in a project of its name."""
    own = not any(name in os.environ for name in ELSEWHERE)

    def options(trial: TrackedTrial) -> dict[str, Any]:
        # It knows a run by its name alone: beside other studies the mark tells them apart.
        name = trial.name if own else f"{trial.name}-{place.mark}"
        return {
            "project": place.study,
            "name": name,
            "group": place.study,
            "config": trial.settings,
            "resume": "allow",
        }

    return RunProcesses(
        "trackio", place.folder, options, {FOLDER: str(place.trackio)} if own else {}
    )


def trackio_where(place: Place) -> str:
    """The command that shows them."""
    project = shlex.quote(place.study)
    if any(name in os.environ for name in ELSEWHERE):
        return f"trackio show --project {project}"
    return f"TRACKIO_DIR={shlex.quote(str(place.trackio))} trackio show --project {project}"
