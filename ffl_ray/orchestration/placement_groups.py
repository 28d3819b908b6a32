"""Placement groups, the CPUs and GPUs of trials of several workers: whose, and given back.

Ray Train reserves them in a placement group that has no name. It frees the group of a training
that was killed only by way of the dashboard's state service, which need not run: the trial's next
attempt would wait for them, and for ever. So each group is marked, and freed by us.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.util.placement_group import placement_group_table, remove_placement_group

from ffl_ray.orchestration.ray_private import placement_group


def mark_of(trial_id: str) -> int:
    """Bytes of memory that a worker of this trial asks for: nothing in size, and its sign.

    No two trials of a driver have the same, and Tune's own groups, of one byte, have none.
    """
    return int(trial_id) + 2


def free_workers(job: dict[str, Any]) -> None:
    """Remove whatever group a trial still has; one of a single worker never has any."""
    if job["num_workers"] == 1:
        return
    ours = ray.get_runtime_context().get_job_id()
    for group, facts in placement_group_table().items():
        marks = {bundle.get("memory") for bundle in facts["bundles"].values()}
        # A group's id ends in that of the driver it is of.
        if marks == {mark_of(job["trial_id"])} and group.endswith(ours):
            remove_placement_group(placement_group(group))
