"""What travels to a worker and back: one training, and its epochs, as values for Ray."""

from __future__ import annotations

from typing import Any, NamedTuple

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.objectives import VALUE
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.planning.layout import Plan
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.session import Report


class Job(NamedTuple):
    """One training and its place.

    Attributes:
        trial_id: names it in the study.
        settings: the config, flat, by dotted names.
        study: location of the study's folder.
        num_workers: processes that train it together.
        cpus_per_worker: CPUs, and so threads, of each.
        gpus_per_worker: GPUs of each.
        final: train on train and val together, and open the test split at the end.
        in_one_process: train in the process that the trials of its GPU share.
    """

    trial_id: str
    settings: dict[str, Any]
    study: str
    num_workers: int
    cpus_per_worker: int
    gpus_per_worker: float
    final: bool = False
    in_one_process: bool = False

    @classmethod
    def planned(
        cls, trial_id: str, config: ResolvedConfig, study: str, plan: Plan, *, final: bool = False
    ) -> Job:
        """A job for this config, with what the plan gives each trial."""
        return cls(
            trial_id=trial_id,
            settings=flatten(config),
            study=study,
            num_workers=plan.num_workers,
            cpus_per_worker=plan.cpus_per_worker,
            gpus_per_worker=plan.gpus_per_worker,
            final=final,
            in_one_process=plan.in_one_process,
        )

    @property
    def config(self) -> ResolvedConfig:
        """The checked config."""
        return resolved_from(self.settings)

    @property
    def files(self) -> Storage:
        """The folder of its checkpoints."""
        return Storage(self.study).child(f"checkpoints/{self.trial_id}")


class Told(NamedTuple):
    """What a training tells next: a finished epoch, or how it ended.

    Attributes:
        report: of the epoch; none: it has ended.
        failure: what a retry can't mend, as `failures.failure_of` has it.
        error: what a retry may mend, or a process to itself where memory ran out.
    """

    report: Report | None = None
    failure: dict[str, Any] | None = None
    error: Exception | None = None


def report_metrics(report: Report) -> dict[str, Any]:
    """An epoch as Tune's metrics: what the scheduler needs, and the report of it."""
    row = report.row
    return {"epoch": row["epoch"], VALUE: row[VALUE], "report": report}
