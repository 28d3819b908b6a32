"""Private names of Ray, for what the benchmarks look at or do to a cluster, in this file alone.

Written for Ray 2.60; each name with where it stands upstream.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray._private.internal_api import memory_summary
from ray._private.services import _get_gcs_client_options
from ray._raylet import GcsClient, GlobalStateAccessor  # type: ignore[attr-defined]
from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # type: ignore[attr-defined]
from ray.train._internal.storage import StorageContext

PREEMPTION = 2  # DrainNodeReason of src/ray/protobuf/autoscaler.proto


def placement_group_counts(address: str) -> Iterator[int]:
    """How many placement groups a cluster holds, asked each time; ends when the cluster is gone.

    It joins no cluster: `ray.util.state` would need a dashboard
    (github.com/ray-project/ray, python/ray/includes/global_state_accessor.pxi).
    """
    accessor = GlobalStateAccessor(_get_gcs_client_options(address))  # type: ignore[no-untyped-call]
    while accessor.connect():
        tables = map(PlacementGroupTableData.FromString, accessor.get_placement_group_table())
        yield sum(table.state != PlacementGroupTableData.REMOVED for table in tables)


def drain_node(address: str, node_id: str, deadline_s: float) -> None:
    """No new work for a node, and its end in so many seconds: what `ray drain-node` sends.

    That command takes seconds to start (python/ray/scripts/scripts.py, drain_node).
    """
    deadline_ms = int((time.time() + deadline_s) * 1000)
    accepted, why = GcsClient(address=address).drain_node(node_id, PREEMPTION, "spot", deadline_ms)
    assert accepted, why


def object_stores() -> str:
    """What all object stores of the joined cluster hold, in Ray's words.

    It is what `ray memory --stats-only` prints (python/ray/_private/internal_api.py).
    """
    text: str = memory_summary(stats_only=True)  # type: ignore[no-untyped-call]
    return " ".join(line for line in text.splitlines() if "Plasma memory" in line)


def trial_storage(folder: Path, experiment: str, trial: str) -> Any:
    """Where Tune keeps a trial of an experiment (python/ray/train/_internal/storage.py)."""
    return StorageContext(folder, experiment, trial_dir_name=trial)
