"""Every method on the same branches, seed by seed: the table of studies of methods_short."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from statistics import fmean
from typing import NamedTuple

import pandas as pd
from scipy.special import stdtrit

from benchmarks.common import ended
from ffl_ray.config.image_shapes import num_classes
from ffl_ray.config.methods import METHODS, resolved
from ffl_ray.config.objectives import rows_of_role
from ffl_ray.planning.cost import DataSize, training_cost
from ffl_ray.results import load
from ffl_ray.results.reader import records
from ffl_ray.results.schema import row_config
from ffl_ray.results.statistics import shown, summary

BASELINE = "independent"
SHARED = -1  # all stages but the last
WAYS = ("as published", "equal sharing")
ROLES = ("deployed", "whole")
ERROR = 0.05  # that any verdict of a table is wrong
POWER = 0.8
MARGIN = 0.005
LAST = 3  # epochs, over which a training has flattened


class Row(NamedTuple):
    """One method in one way of sharing.

    Attributes:
        way: as published, or at equal sharing.
        method: its name, and what it does without.
        trials: of its seeds, with the columns of `with_members`.
    """

    way: str
    method: str
    trials: pd.DataFrame


class Held(NamedTuple):
    """A method held against the baseline.

    Attributes:
        difference: of their means, in accuracy.
        half: of its interval's width.
        seen: the least true difference that is told from 0 in four of five cases.
    """

    difference: float
    half: float
    seen: float

    @property
    def said(self) -> str:
        """It in percent, and whether it is better, worse, equal within the margin, or undecided."""
        return f"{100 * self.difference:+.2f} ± {100 * self.half:.2f}, {self.verdict}"

    @property
    def verdict(self) -> str:
        """The verdict alone."""
        if abs(self.difference) > self.half:
            return "better" if self.difference > 0 else "worse"
        return "equal" if abs(self.difference) + self.half < MARGIN else "undecided"


def with_members(trials: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """Completed trials with the accuracy and cost of each role's members after the last epoch.

    Where any branch is shipped, the mean over them.
    """
    found = []
    for trial_id, rows in members[members["checkpoint"] == "latest"].groupby("trial_id"):
        of_trial: dict[str, object] = {"trial_id": trial_id}
        for role in ROLES:
            chosen = rows_of_role(records(rows), role)
            of_trial[role] = fmean(row["accuracy"] for row in chosen)
            of_trial[f"{role}.macs"] = fmean(row["macs"] for row in chosen)
        found.append(of_trial)
    completed = trials[trials["status"] == "completed"].set_index("trial_id")
    return completed.join(pd.DataFrame(found).set_index("trial_id")).reset_index()


def rows_of(trials: pd.DataFrame) -> list[Row]:
    """The rows of the table: every method as published, and again where all share alike."""
    found = []
    for way in WAYS:
        for method, parts in METHODS.items():
            stages = parts.trunk_stages if way == WAYS[0] else SHARED
            same = (trials["distill.method"] == method) & (trials["model.trunk_stages"] == stages)
            for taught, group in trials[same].groupby("distill.fused_to_branch", sort=False):
                found.append(Row(way, method if taught else f"{method}, untaught", group))
    return sorted(found, key=lambda row: row.way == WAYS[1])


def training_macs(rows: pd.DataFrame) -> float:
    """Multiply-accumulates of an image in a training step, of a method's first trial."""
    config = resolved(row_config(records(rows)[0]))
    data = DataSize(num_classes(config.data) or 1000, 1, 1)
    return training_cost(config, data).training_macs


def held_against(found: list[Row], baseline: Row, role: str, looks: int) -> dict[str, Held]:
    """Each method's mean over seeds held against the baseline's, by its name.

    Seeds are few, so that all methods say together how much seeds differ: one variance of them
    all, as in an analysis of variance.

    Args:
        looks: differences that the table holds, for which Bonferroni corrects.
    """
    values = {row.method: row.trials[role].to_numpy(float) for row in found}
    freedom = sum(len(one) - 1 for one in values.values())
    if freedom == 0:
        return {}
    squares = sum(float(((one - one.mean()) ** 2).sum()) for one in values.values())
    base = values.pop(baseline.method)
    told, power = (float(stdtrit(freedom, p)) for p in (1 - ERROR / looks / 2, POWER))
    found_of = {}
    for method, one in values.items():
        error = math.sqrt(squares / freedom * (1 / len(one) + 1 / len(base)))
        difference = float(one.mean() - base.mean())
        found_of[method] = Held(difference, told * error, (told + power) * error)
    return found_of


def table(trials: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A row for each method and way: means and differences from `independent` in percent.

    And a sentence that says which differences would have been seen.
    """
    rows = rows_of(trials)
    baselines = {row.way: row for row in rows if row.method == BASELINE}
    looks = len(ROLES) * sum(row.method != BASELINE for row in rows)
    held = {
        (way, role): held_against([row for row in rows if row.way == way], baseline, role, looks)
        for way, baseline in baselines.items()
        for role in ROLES
    }
    published = baselines[WAYS[0]].trials
    alone, branch = training_macs(published), float(published["deployed.macs"].iloc[0])
    seen = [
        f"{100 * max(one.seen for one in of.values()):.1f} points of what is {role} {way}"
        for (way, role), of in held.items()
        if of
    ]
    return pd.DataFrame([_shown(row, held, alone, branch) for row in rows]), (
        f"seen in four of five cases: {', '.join(seen)}"
    )


def _shown(
    row: Row, held: Mapping[tuple[str, str], Mapping[str, Held]], alone: float, branch: float
) -> dict[str, str]:
    found = {"sharing": row.way, "method": f"`{row.method}`", "n": str(len(row.trials))}
    for role in ROLES:
        found[role] = shown(summary(row.trials[role].tolist()), scale=100)
        one = held.get((row.way, role), {}).get(row.method)
        found[f"{role} - independent's"] = "" if one is None else one.said
    found["training MACs"] = f"{training_macs(row.trials) / alone:.2f}"
    costs = [float(row.trials[f"{role}.macs"].iloc[0]) / branch for role in ROLES]
    found["inference MACs"] = " / ".join(f"{cost:.2f}" for cost in costs)
    return found


def flattening(epochs: pd.DataFrame, completed: pd.Series) -> pd.Series:
    """By how much each completed training's cross-entropy still fell in its last epochs.

    As a share, by trial_id.
    """
    losses = (
        epochs[epochs["trial_id"].isin(completed)]
        .sort_values("epoch")
        .groupby("trial_id")["loss.ce_branches"]
    )
    means = losses.apply(lambda rows: [fmean(values) for values in rows])
    return means.map(lambda values: 1 - values[-1] / values[-1 - LAST])


def cpu_seconds(epochs: pd.DataFrame) -> pd.Series:
    """CPU seconds of each training's steps, by trial_id; seconds, where a CPU's are not known.

    Other work on the machine lengthens seconds, and these hardly.
    """
    found = epochs["train_cpu_s"].where(epochs["train_cpu_s"].notna(), epochs["train_s"])
    return found.astype(float).groupby(epochs["trial_id"]).sum()


def main() -> None:
    """Print the table of some studies, which hold the methods between them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="+", help="of: python -m ffl_ray.tune methods_short")
    parser.add_argument("--storage-path")
    args = parser.parse_args()
    loaded = [load(study, args.storage_path) for study in args.studies]
    trials = pd.concat([with_members(found.trials, found.members) for found in loaded])
    fell = pd.concat([flattening(found.epochs, trials["trial_id"]) for found in loaded])
    cpu_s = cpu_seconds(pd.concat([found.epochs for found in loaded])).sum()
    frame, seen = table(trials)
    print(frame.to_markdown(index=False, disable_numparse=True))  # noqa: T201
    print(  # noqa: T201
        f"\n{seen}\n{len(trials)} trainings, {trials['accelerator_s'].sum() / 60:.0f} minutes, of "
        f"which {cpu_s / 60:.0f} of a CPU in training steps; over the last {LAST} epochs the "
        f"cross-entropy still fell by {fell.mean():.1%} on average, by {fell.max():.1%} at most"
    )


if __name__ == "__main__":
    ended(main)
