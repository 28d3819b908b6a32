"""A search on a Ray cluster of several nodes, one of which is warned and then taken away."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray._private.state import available_resources_per_node
from ray.cluster_utils import Cluster
from support.helpers import start
from support.metadata import Metadata, served
from support.stores import KEYS, s3_server, uri

import ffl_ray.results
from ffl_ray.results.storage.storage import Storage

EPOCHS = 10

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        "FFL_RAY_TEST_SLOW" not in os.environ, reason="minutes: FFL_RAY_TEST_SLOW=1 runs it"
    ),
]


@contextmanager
def nodes_of_one_cpu(count: int, marks: Path) -> Iterator[tuple[Cluster, list[Any]]]:
    """A head that takes no work, and nodes whose marks are their own."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        nodes = [
            cluster.add_node(num_cpus=1, env_vars={"FFL_RAY_PREEMPTION": str(marks / f"node{i}")})
            for i in range(count)
        ]
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster, nodes
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]


def wait_until(what: Callable[[], Any], timeout_s: float = 120) -> float:
    """How long it took."""
    started = time.time()
    while not what():
        assert time.time() - started < timeout_s
        time.sleep(0.1)
    return time.time() - started


def busy(nodes: list[Any]) -> list[Any]:
    free = available_resources_per_node()  # type: ignore[no-untyped-call]
    return [node for node in nodes if free.get(node.node_id, {}).get("CPU", 0) < 1]


def warn(node: Any, cluster: Cluster, mark: Path) -> None:
    """Have the node's listener hear that it is taken away in a minute."""
    metadata = Metadata()
    metadata.warn(60)
    with served(metadata) as address:
        subprocess.run(
            [
                sys.executable, "-m", "ffl_ray.spot", "--cloud", "aws", "--metadata", address,
                "--address", cluster.address, "--node-id", node.node_id,
            ],
            env=os.environ | {"FFL_RAY_PREEMPTION": str(mark)},
            check=True,
            timeout=60,
        )  # fmt: skip
    assert mark.exists()


def checkpoint(files: Storage) -> dict[str, Any]:
    data = files.read("latest.pt")
    assert data is not None
    state: dict[str, Any] = torch.load(io.BytesIO(data))
    return state


def epochs_done(files: Storage) -> int:
    return int(checkpoint(files)["progress"]["epochs_done"])


def steps_in_flight(files: Storage) -> int:
    """Steps of the epoch in flight that the latest checkpoint holds: only a warning stores them."""
    part = checkpoint(files)["part"]
    return part["steps_done"] if part else 0


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_warned_nodes_trial_moves_in_mid_epoch_and_no_failure_is_counted(
    num_workers: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    space = tmp_path / "space.py"
    space.write_text(
        f"BASE = {{'data.fraction': 1.0, 'optim.epochs': {EPOCHS}, 'optim.batch_size': 16,\n"
        "        'model.mix': '2*resnet32', 'search.max_failures': 0,\n"
        "        'compute.checkpoint_interval_s': None}\n"
        "def search_space(trial):\n"
        "    trial.suggest_float('distill.temperature', 1, 4)\n"
        "    return {}\n"
    )
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with (
        (tmp_path / "out").open("w") as out,
        s3_server() as port,
        nodes_of_one_cpu(num_workers + 1, tmp_path) as (cluster, nodes),
    ):
        files = Storage(uri(port)).child("study").child("checkpoints/00000")
        search = start(
            "tune", str(space), "--num-samples", "1", "--num-workers", str(num_workers),
            "--cpus-per-trial", str(num_workers), "--max-concurrent-trials", "1",
            "--storage-path", uri(port), "--name", "study", "--address", cluster.address,
            out=out.fileno(), RAY_AUTH_MODE="disabled",
        )  # fmt: skip
        try:
            wait_until(lambda: search.poll() is not None or files.read("latest.pt"))
            assert search.poll() is None, (tmp_path / "out").read_text()
            taken = busy(nodes)[-1]
            warn(taken, cluster, tmp_path / f"node{nodes.index(taken)}")
            stored_s = wait_until(lambda: steps_in_flight(files), 30)
            stored = files.read("latest.pt")
            done = (epochs_done(files), steps_in_flight(files))
            cluster.remove_node(taken, allow_graceful=False)
            back_s = stored_s + wait_until(lambda: files.read("latest.pt") != stored)
            search.wait(240)
        finally:
            search.kill()
            search.wait()
        trials, epochs, _ = ffl_ray.results.load("study", uri(port))

    with capsys.disabled():
        sys.stdout.write(
            f"\n{num_workers} workers: stored {stored_s:.1f} s after the mark, at "
            f"epoch {done[0]} and {done[1]} steps; the next epoch ended {back_s:.1f} s after it\n"
        )
    assert search.returncode == 0, (tmp_path / "out").read_text()
    assert list(trials.status) == ["completed"]
    assert list(epochs.epoch) == [*range(1, EPOCHS + 1)]
    # One worker: Tune starts it again. Several: Train does, within the same attempt.
    assert list(trials.attempt) == [2 if num_workers == 1 else 1]
