"""What the runs of a confirmation measured, by arm, member and seed, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from ffl_ray.confirm.pairs import Run
from ffl_ray.results.crossed import Effect, crossed, over_seeds
from ffl_ray.results.statistics import Summary
from ffl_ray.training.predictions import Predictions

Values = Float[np.ndarray, "images"]


class Measured(NamedTuple):
    """The results of an arm's runs, by seed.

    Attributes:
        members: rows of the members table by member, then by seed.
        accelerator_s: of each run.
        predictions: on each test image, by member, then by seed, where they are kept.
        failed: seeds whose training failed, for good as far as is known.
    """

    members: dict[str, dict[int, Mapping[str, Any]]]
    accelerator_s: dict[int, float]
    predictions: dict[str, dict[int, Predictions]]
    failed: Collection[int] = ()

    def values(self, member: str, metric: str) -> dict[int, float]:
        """One metric of one member, by seed."""
        return {seed: row[metric] for seed, row in self.members.get(member, {}).items()}

    def cost(self, member: str, name: str) -> int | None:
        """A count that all of a member's rows share, such as macs or images."""
        row = next(iter(self.members.get(member, {}).values()), None)
        return None if row is None or row[name] is None else int(row[name])

    def mean_macs(self, members: Sequence[str]) -> int | None:
        """The mean MACs of some members, rounded."""
        found = [self.cost(member, "macs") for member in members]
        known = [macs for macs in found if macs is not None]
        return round(fmean(known)) if len(known) == len(found) else None

    def means(self, members: Sequence[str], metric: str) -> dict[int, float]:
        """The mean of one metric over some members, by the seeds that have all of them."""
        found = [self.values(member, metric) for member in members]
        seeds = set.intersection(*(set(values) for values in found))
        return {seed: fmean(values[seed] for values in found) for seed in sorted(seeds)}

    def of_images(self, members: Sequence[str], metric: str) -> dict[int, Values]:
        """The mean of one metric over some members on each image, by the seeds that kept it."""
        found = [self.predictions.get(member, {}) for member in members]
        seeds = set.intersection(*(set(by_seed) for by_seed in found))
        column = "right" if metric == "accuracy" else metric
        return {
            seed: np.mean([getattr(by_seed[seed], column) for by_seed in found], axis=0)
            for seed in sorted(seeds)
        }


class Estimated(NamedTuple):
    """An effect, and what its variance is over: seeds, or seeds and images."""

    effect: Effect
    over: Literal["seeds", "seeds and images"]


def effect_of(
    seeds: Summary, of_images: Mapping[int, Values], metric: str, images: int | None
) -> Estimated:
    """The mean of a metric, or of its difference, with what of it is chance.

    Args:
        seeds: of each seed's mean.
        of_images: the values on each image by seed; fewer seeds than that: they were not kept.
        images: how many there are, of a difference of accuracies; it is of whole images, and so
            is what stands for the images that are not kept.
    """
    whole = metric == "accuracy"
    if seeds.n and len(of_images) == seeds.n:
        values = np.stack([*of_images.values()])
        return Estimated(crossed(values, step=float(whole)), "seeds and images")
    return Estimated(over_seeds(seeds, images=images if whole else None), "seeds")


def measured_arms(
    runs: Sequence[Run],
    trials: Iterable[Mapping[str, Any]],
    members: Iterable[Mapping[str, Any]],
    predictions: Callable[[str], Mapping[str, Predictions]] = lambda _: {},
) -> dict[str, Measured]:
    """The results of the completed runs, by arm.

    Args:
        trials: rows of the trials table.
        members: rows of the members table; those of the test split count.
        predictions: gives those of a run, by member.
    """
    rows = {row["trial_id"]: row for row in trials}
    completed = {run_id: row for run_id, row in rows.items() if row["status"] == "completed"}
    failed: dict[str, set[int]] = {}
    for run in runs:
        if rows.get(run.run_id, {}).get("status") == "failed":
            failed.setdefault(run.arm, set()).add(run.seed)
    tested: dict[str, list[Mapping[str, Any]]] = {}
    for row in members:
        if row["split"] == "test":
            tested.setdefault(row["trial_id"], []).append(row)
    found: dict[str, Measured] = {}
    for run in runs:
        arm = found.setdefault(run.arm, Measured({}, {}, {}, failed.get(run.arm, ())))
        if run.run_id not in completed:
            continue
        arm.accelerator_s[run.seed] = completed[run.run_id]["accelerator_s"]
        for row in tested.get(run.run_id, []):
            arm.members.setdefault(row["member"], {})[run.seed] = row
        for member, found_of in predictions(run.run_id).items():
            arm.predictions.setdefault(member, {})[run.seed] = found_of
    return found
