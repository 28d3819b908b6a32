"""Every method on the same branches, seed by seed: the table of a study of methods_short."""

from __future__ import annotations

import argparse

import pandas as pd

from ffl_ray.config.image_shapes import num_classes
from ffl_ray.config.methods import METHODS, resolved
from ffl_ray.planning.cost import DataSize, training_cost
from ffl_ray.results import load
from ffl_ray.results.reader import records
from ffl_ray.results.schema import row_config
from ffl_ray.results.statistics import compare, shown, summary

BASELINE = "independent"


def by_seed(rows: pd.DataFrame, column: str) -> dict[int, float | None]:
    """A column of a method's trials, by seed."""
    return {
        int(seed): None if pd.isna(value) else float(value)
        for seed, value in zip(rows["seed"], rows[column], strict=True)
    }


def with_members(trials: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """Completed trials with the accuracies and costs of their members after the last epoch."""
    last = members[members["checkpoint"] == "latest"]
    branches = last[last["member"].str.startswith("branch")].groupby("trial_id")
    wide = last.pivot(index="trial_id", columns="member", values=["accuracy", "macs"])
    added = pd.DataFrame(
        {
            "branch": branches["accuracy"].mean(),
            "ensemble": wide["accuracy", "ensemble"],
            "fused": wide["accuracy", "fused"],
            "branch0": wide["accuracy", "branch0"],
            "macs": wide["macs", "ensemble"],
        }
    )
    completed = trials[trials["status"] == "completed"].set_index("trial_id")
    return completed.join(added).reset_index()


def training_macs(rows: pd.DataFrame) -> float:
    """Multiply-accumulates of an image in a training step, of a method's first trial."""
    config = resolved(row_config(records(rows)[0]))
    data = DataSize(num_classes(config.data) or 1000, 1, 1)
    return training_cost(config, data).training_macs


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each method: means with 95% intervals in percent, and the paired difference."""
    groups = {str(method): group for method, group in rows.groupby("distill.method")}
    found = []
    for method in METHODS:
        if method not in groups:
            continue
        group = groups[method]
        columns = {
            name: shown(summary(by_seed(group, name).values()), scale=100)
            for name in ("branch", "ensemble", "fused")
        }
        ours, theirs = by_seed(group, "branch"), by_seed(groups[BASELINE], "branch")
        difference, verdict = compare(ours, theirs)
        cost = training_macs(group) / training_macs(groups[BASELINE])
        found.append(
            {
                "method": method,
                **columns,
                "branch - independent": "" if method == BASELINE else shown(difference, scale=100),
                "verdict": "" if method == BASELINE else verdict,
                "training MACs": f"{cost:.2f}",
            }
        )
    return pd.DataFrame(found)


def main() -> None:
    """Print the table of a study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="made by: python -m ffl_ray.tune methods_short")
    parser.add_argument("--storage-path")
    args = parser.parse_args()
    trials, _, members = load(args.study, args.storage_path)
    rows = with_members(trials, members)
    text = table(rows).to_markdown(index=False, disable_numparse=True)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
