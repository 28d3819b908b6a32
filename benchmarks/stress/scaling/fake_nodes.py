"""Many fake nodes on this machine, and Tune's own driver with trials that only report."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ray import tune
from ray.cluster_utils import Cluster

from benchmarks.made_study import epochs_table, member_rows, rows_of
from benchmarks.ray_private import object_stores
from benchmarks.stress.scaling.driver import open_driver
from benchmarks.stress.scaling.filled import Setting, describe, setting
from benchmarks.stress.soaking.samples import measured
from ffl_ray.bench.processes import MARK, Marked
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.orchestration.job import report_metrics
from ffl_ray.orchestration.ray_setup import ray_state, start_ray
from ffl_ray.orchestration.recorder import Recorder
from ffl_ray.orchestration.tune_searcher import TuneSearcher
from ffl_ray.orchestration.tuner import make_tuner
from ffl_ray.planning.layout import Plan
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.session import Report

NODE_MEMORY = 100_000_000
SETTLE_S = 10.0


def report_only(job: dict[str, Any]) -> None:
    """Tune's function of a trial that reports made epochs as fast as they are taken."""
    number, epochs = int(job["trial_id"]), int(job["settings"]["optim.epochs"])
    for row in epochs_table(rows_of(number, 1, epochs)).to_pylist():
        kept = {n: v for n, v in row.items() if n not in ("study", "trial_id", "attempt")}
        members = member_rows(number, row["epoch"])
        tune.report(report_metrics(Report(kept, members, members)))


class Moments:
    """A view that only notes when things happened, in seconds since 1970."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.epochs: list[float] = []
        self.ended: list[float] = []

    def trial_started(self, trial_id: str, config: Config) -> None:
        self.started.append(time.time())

    def epoch_finished(self, trial_id: str, row: dict[str, Any]) -> None:
        self.epochs.append(time.time())

    def trial_ended(self, trial_id: str, status: str, row: dict[str, Any]) -> None:
        self.ended.append(time.time())


def start_nodes(nodes: int, per_node: int) -> float:
    """A head without CPUs and so many nodes with some each; seconds that a node took to start."""
    memory = {"object_store_memory": NODE_MEMORY}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **memory})
    started = time.time()
    for _ in range(nodes):
        cluster.add_node(wait=False, num_cpus=per_node, **memory)
    cluster.wait_for_nodes(timeout=300)
    taken = (time.time() - started) / nodes
    start_ray(cluster.address)
    return taken


def search(given: Setting, folder: Path, at_once: int, trials: int) -> Moments:
    """A search as `ffl_ray.tune` runs it, but for the training."""
    storage, plan = Storage(str(folder / "study")), Plan(at_once, 1, 1, 0)
    describe(storage, given)
    driver, _ = open_driver(storage, given)
    moments = Moments()
    recorder = Recorder(
        driver.tables,
        driver.retention,
        driver.scheduler,
        driver.searcher.optuna_columns,
        moments,
        plan.columns(),
        given.study.search.max_failures,
    )
    parts = (TuneSearcher(driver.searcher), driver.scheduler, recorder, report_only)
    with ray_state() as state:
        make_tuner(plan, given.study.search, state, trials, *parts).fit()
    return moments


def memory_by_kind() -> dict[str, int]:
    """Bytes that the cluster's processes of each kind hold."""
    found: Counter[str] = Counter()
    for process in measured(Marked(os.environ[MARK]))[0]:
        found[process.kind] += process.pss_bytes
    return dict(found)


def measure(nodes: int, per_node: int, trials: int, epochs: int, folder: Path) -> None:
    """Start the nodes, leave them alone for a moment, run the search, write what was seen."""
    node_s = start_nodes(nodes, per_node)
    time.sleep(SETTLE_S)
    idle = time.time()
    time.sleep(SETTLE_S)
    found: dict[str, Any] = {"node_s": node_s, "idle": [idle, time.time()]}
    found["memory"] = memory_by_kind()
    began = time.time()
    given = setting(epochs, trials, "random")
    given = given._replace(study=with_overrides(given.study, {"search.scheduler": "none"}))
    moments = search(given, folder, nodes * per_node, trials)
    found |= {"began": began, "started": moments.started, "epochs": moments.epochs}
    found |= {"ended": moments.ended, "object_stores": object_stores()}
    (folder / "moments.json").write_text(json.dumps(found))
