"""A grid of real trainings: the curve, the seconds and the true worth of each point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray.config.objectives import VALUE, Objective
from ffl_ray.config.older import of_today
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import StudyError
from ffl_ray.results.columns import BASELINE, PLAIN
from ffl_ray.results.description import read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.history import study_objectives
from ffl_ray.results.reader import find_study, read_rows
from ffl_ray.results.schema import row_config
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.product import Point, Product, product_of

TRAINED = ("completed", "failed")


class Run(NamedTuple):
    """One training of a point.

    Attributes:
        trial_id: of it in the grid's study.
        values: of the objective, after each epoch.
        seconds: accelerator-seconds of each epoch.
        failed: whether it ended with an error.
    """

    trial_id: str
    values: tuple[float, ...]
    seconds: tuple[float, ...]
    failed: bool


class Grid(NamedTuple):
    """The trainings of a full grid.

    Attributes:
        name: of the study.
        product: the points.
        objective: what they are judged by.
        epochs: of every training.
        workers: trials at once, as they were trained.
        runs: of each point, a training a seed.
    """

    name: str
    product: Product
    objective: Objective
    epochs: int
    workers: int
    runs: Mapping[Point, Sequence[Run]]

    @property
    def worth(self) -> dict[Point, float]:
        """Of each point the mean over its seeds after the last epoch, turned so that more is best.

        A point of which a training failed is worth as little as the worst one.
        """
        scores = {point: _mean_score(runs, self.objective) for point, runs in self.runs.items()}
        worst = min(score for score in scores.values() if score is not None)
        return {point: worst if score is None else score for point, score in scores.items()}

    @property
    def training_s(self) -> float:
        """Accelerator-seconds of a training, on average."""
        seconds = [sum(run.seconds) for runs in self.runs.values() for run in runs]
        return sum(seconds) / len(seconds)

    def point(self, config: ResolvedConfig) -> Point:
        """Where a config stands."""
        return self.product.point(config)


def _mean_score(runs: Sequence[Run], objective: Objective) -> float | None:
    if any(run.failed for run in runs):
        return None
    return math.fsum(objective.score(run.values[-1]) for run in runs) / len(runs)


def open_grid(
    study: str,
    storage_path: str | None = None,
    keep: Callable[[Mapping[str, Any]], bool] = lambda row: True,
) -> Grid:
    """The grid that a study is.

    Args:
        study: a folder or URI, or the name of a study under the storage path.
        keep: which rows of its trials table are the grid.

    Raises:
        StudyError: no such study, it has several objectives, or not every point of a full grid
            was trained to its end.
    """
    storage = find_study(study, storage_path)
    with understood(storage.location):
        description, objectives = read_description(storage), study_objectives(storage)
        if len(objectives) > 1:
            raise StudyError(
                f"a replay takes a study of one objective, and {storage.location} has "
                f"{len(objectives)}"
            )
        rows = [row for row in _searched(storage) if keep(row)]
        _check_trained(rows, storage.location)
        product = product_of(rows, storage.location, of_today(description["settings"]))
        runs: dict[Point, list[Run]] = {}
        curves = _curves(read_rows(storage, "epochs"))
        for row in rows:
            run = _run(row, curves.get(row["trial_id"], {}))
            runs.setdefault(product.point(row_config(row)), []).append(run)
        plan = description.get("plan", {})
        return Grid(
            name=description["study"],
            product=product,
            objective=objectives[0],
            epochs=rows[0]["epochs_planned"],
            workers=int(plan.get("max_concurrent_trials", 1)),
            runs=runs,
        )


def _searched(storage: Storage) -> list[dict[str, Any]]:
    """The rows of the trials table but the plain baseline's, which is no point of a grid."""
    return [row for row in read_rows(storage, "trials") if row.get(BASELINE) != PLAIN]


def _check_trained(rows: Sequence[Mapping[str, Any]], place: str) -> None:
    if not any(row["status"] == "completed" for row in rows):
        raise StudyError(f"{place} has no completed trial: there is nothing to replay")
    for row in rows:
        if row["status"] not in TRAINED:
            raise StudyError(
                f"a replay takes trials that were trained to their end, and {row['trial_id']} of "
                f"{place} is {row['status']}: search with --sampler grid --scheduler none"
            )


def _curves(epochs: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, Mapping[str, Any]]]:
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in epochs:
        found.setdefault(row["trial_id"], {})[row["epoch"]] = row
    return found


def _run(trial: Mapping[str, Any], rows: Mapping[int, Mapping[str, Any]]) -> Run:
    """A training from its row and its epochs' rows; one that failed at once took no time."""
    ordered = [rows[epoch] for epoch in sorted(rows)]
    spent = [0.0, *(float(row["accelerator_s"]) for row in ordered)]
    return Run(
        trial_id=trial["trial_id"],
        values=tuple(math.nan if row[VALUE] is None else float(row[VALUE]) for row in ordered),
        seconds=tuple(after - before for before, after in itertools.pairwise(spent)),
        failed=trial["status"] == "failed",
    )
