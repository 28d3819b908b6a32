"""Every method on the same branches, seed by seed: the table of studies of methods_short."""

from __future__ import annotations

import argparse
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from ffl_ray.config.image_shapes import num_classes
from ffl_ray.config.methods import METHODS, resolved
from ffl_ray.config.objectives import rows_of_role
from ffl_ray.planning.cost import DataSize, training_cost
from ffl_ray.results import load
from ffl_ray.results.crossed import over_seeds
from ffl_ray.results.reader import records
from ffl_ray.results.schema import row_config
from ffl_ray.results.statistics import paired_differences, shown, summary
from ffl_ray.results.verdicts import Difference, Judged, judged

BASELINE = "independent"
SHARED = -1
ROLES = ("deployed", "whole")
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
    for way in ("as published", "equal sharing"):
        for method, parts in METHODS.items():
            stages = parts.trunk_stages if way == "as published" else SHARED
            same = (trials["distill.method"] == method) & (trials["model.trunk_stages"] == stages)
            for taught, group in trials[same].groupby("distill.fused_to_branch", sort=False):
                found.append(Row(way, method if taught else f"{method}, untaught", group))
    return sorted(found, key=lambda row: row.way == "equal sharing")


def by_seed(rows: pd.DataFrame, column: str) -> dict[int, float | None]:
    """A column of a method's trials, by seed."""
    return {
        int(seed): None if pd.isna(value) else float(value)
        for seed, value in zip(rows["seed"], rows[column], strict=True)
    }


def training_macs(rows: pd.DataFrame) -> float:
    """Multiply-accumulates of an image in a training step, of a method's first trial."""
    config = resolved(row_config(records(rows)[0]))
    data = DataSize(num_classes(config.data) or 1000, 1, 1)
    return training_cost(config, data).training_macs


def difference(ours: pd.DataFrame, theirs: pd.DataFrame, column: str) -> Difference:
    """The difference of two methods by seed; the images are the same, and given."""
    values = paired_differences(by_seed(ours, column), by_seed(theirs, column))
    if not values:
        return Difference(None, "up", MARGIN)
    return Difference(over_seeds(summary(values)), "up", MARGIN)


def table(trials: pd.DataFrame) -> pd.DataFrame:
    """A row for each method and way: means and differences from `independent` in percent.

    The verdicts are corrected for how many differences the table holds.
    """
    rows = rows_of(trials)
    baselines = {row.way: row.trials for row in rows if row.method == BASELINE}
    compared = [(row, role) for row in rows for role in ROLES if row.method != BASELINE]
    family = [difference(row.trials, baselines[row.way], role) for row, role in compared]
    verdicts = {
        (row.way, row.method, role): (one, verdict)
        for (row, role), one, verdict in zip(compared, family, judged(family), strict=True)
    }
    alone = training_macs(baselines["as published"])
    branch = float(baselines["as published"]["deployed.macs"].iloc[0])
    return pd.DataFrame([_shown(row, verdicts, alone, branch) for row in rows])


def _shown(
    row: Row,
    verdicts: dict[tuple[str, str, str], tuple[Difference, Judged]],
    alone: float,
    branch: float,
) -> dict[str, str]:
    found = {"sharing": row.way, "method": f"`{row.method}`", "n": str(len(row.trials))}
    for role in ROLES:
        found[role] = shown(summary(by_seed(row.trials, role).values()), scale=100)
        judgement = verdicts.get((row.way, row.method, role))
        found[f"{role} - independent's"] = "" if judgement is None else _said(*judgement)
    found["training MACs"] = f"{training_macs(row.trials) / alone:.2f}"
    costs = [float(row.trials[f"{role}.macs"].iloc[0]) / branch for role in ROLES]
    found["inference MACs"] = " / ".join(f"{cost:.2f}" for cost in costs)
    return found


def _said(one: Difference, judgement: Judged) -> str:
    if one.effect is None or judgement.p is None:
        return judgement.verdict
    half, seen = 100 * one.effect.half(), 100 * (judgement.detectable or 0.0)
    return f"{100 * one.effect.mean:+.2f} ± {half:.2f} {judgement.verdict} ({seen:.1f})"


def flattening(epochs: pd.DataFrame, completed: pd.Series) -> pd.Series:
    """By how much each completed training's cross-entropy still fell in its last epochs.

    As a share, by trial_id.
    """
    losses = epochs[epochs["trial_id"].isin(completed)].sort_values("epoch").groupby("trial_id")["loss.ce_branches"]
    means = losses.apply(lambda rows: [fmean(values) for values in rows])
    return means.map(lambda values: 1 - values[-1] / values[-1 - LAST])


def main() -> None:
    """Print the table of some studies, which hold the methods between them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="+", help="of: python -m ffl_ray.tune methods_short")
    parser.add_argument("--storage-path")
    args = parser.parse_args()
    loaded = [load(study, args.storage_path) for study in args.studies]
    trials = pd.concat([with_members(found.trials, found.members) for found in loaded])
    fell = pd.concat([flattening(found.epochs, trials["trial_id"]) for found in loaded])
    print(table(trials).to_markdown(index=False, disable_numparse=True))  # noqa: T201
    print(  # noqa: T201
        f"\n{len(trials)} trainings, {trials['accelerator_s'].sum() / 60:.0f} minutes; over "
        f"the last {LAST} epochs the cross-entropy still fell by {fell.mean():.1%} on average, by "
        f"{fell.max():.1%} at most"
    )


if __name__ == "__main__":
    main()
