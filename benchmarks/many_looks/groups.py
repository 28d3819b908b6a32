"""The points of a grid that differ in one choice, and the training that is looked at for them."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from benchmarks.many_looks.looks import HEAD, SUBSET
from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import VALUE
from ffl_ray.config.overrides import shown, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.errors import StudyError
from ffl_ray.replay.grid import Grid, Run, open_grid
from ffl_ray.results import load
from ffl_ray.results.reader import records
from ffl_ray.results.schema import row_config
from ffl_ray.search.product import MIX, SEED

DESIGN = "fusion.design"
CHOICES = (DESIGN, MIX)
Curves = Float[np.ndarray, "points seeds epochs"]
Looked = Float[np.ndarray, "points epochs"]


class Group(NamedTuple):
    """Points of a grid that differ in one choice alone, each trained with several seeds.

    Attributes:
        choice: in what they differ.
        fixed: the values of the other searched settings.
        names: the values of the choice, in the order of the points.
        configs: of one training of each point.
        real: what the trainings were worth, turned so that more is better.
        seed: of the training that is looked at, which no training of the grid has.
    """

    choice: str
    fixed: tuple[str, ...]
    names: tuple[str, ...]
    configs: tuple[ResolvedConfig, ...]
    real: Curves
    seed: int

    def config(self) -> ResolvedConfig:
        """Of the training that is looked at.

        For fusion designs it is that of the default design where the grid has it; for mixes its
        branches are the fewest that hold every mix of the group.
        """
        changed: dict[str, object] = {SEED: self.seed, "compute.cuda_graphs": False}
        if self.choice == MIX:
            counts = (Counter(config.model.mix) for config in self.configs)
            most = functools.reduce(operator.or_, counts)
            changed[MIX] = tuple(sorted(most.elements()))
        own = {config.fusion.design: config for config in self.configs}
        base = own.get(Config().fusion.design, self.configs[0])
        return with_overrides(base, changed)

    def looked(self, rows: pd.DataFrame, score: Callable[[float], float], metric: str) -> Looked:
        """What the looks of `config` made of each point, turned so that more is better.

        A mix is worth the mean over all subsets of the branches that are such a mix; what diverged
        is the worst.
        """
        kind = HEAD if self.choice == DESIGN else SUBSET
        seen = rows[rows["kind"] == kind].copy()
        if self.choice == MIX:
            mix = self.config().model.mix
            seen["look"] = [
                shown(tuple(mix[int(index)] for index in name.split("+"))) for name in seen["look"]
            ]
        seen["score"] = [score(value) if isfinite(value) else -inf for value in seen[metric]]
        table = seen.pivot_table(index="look", columns="epoch", values="score")
        return table.loc[list(self.names)].to_numpy()


def groups_of(
    study: str, storage_path: str | None = None, role: str | None = None
) -> tuple[Grid, list[Group]]:
    """A grid, and its groups for each choice that it searches.

    Args:
        role: of the member by whose metric, the objective's, a training is judged; none: by the
            objective itself.

    Raises:
        StudyError: the study is no full grid, a training failed, a point has fewer than two seeds,
            or the tables have no such metric.
    """
    grid, results = open_grid(study, storage_path), load(study, storage_path)
    column = VALUE if role is None else f"val.{role}.{grid.objective.metric}"
    if column not in results.epochs or results.epochs[column].isna().all():
        raise StudyError(f"trainings are judged by a column of each epoch, and {column} is none")
    if any(run.failed or len(runs) < 2 for runs in grid.runs.values() for run in runs):
        raise StudyError(
            f"ranks take two seeds a point at least, all trained to their end, and {grid.name} "
            f"has a point without"
        )
    configs = {row["trial_id"]: resolved(row_config(row)) for row in records(results.trials)}
    scores = results.epochs[column].map(grid.objective.score)
    by_trial = results.epochs.assign(score=scores).sort_values("epoch").groupby("trial_id")["score"]
    curves = {str(trial_id): values.to_numpy() for trial_id, values in by_trial}

    def of_seeds(runs: Sequence[Run]) -> list[Run]:
        return sorted(runs, key=lambda run: configs[run.trial_id].seed)

    found, unused = [], 1 + max(config.seed for config in configs.values())
    for choice in CHOICES:
        for fixed, points in _apart(grid, choice).items():
            trials = [[run.trial_id for run in of_seeds(grid.runs[point])] for _, point in points]
            found.append(
                Group(
                    choice=choice,
                    fixed=fixed,
                    names=tuple(name for name, _ in points),
                    configs=tuple(configs[of_point[0]] for of_point in trials),
                    real=np.array([[curves[one] for one in of_point] for of_point in trials]),
                    seed=unused,
                )
            )
    return grid, found


def _apart(grid: Grid, choice: str) -> dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]]:
    """The points that are alike but for a choice: its value and the point, by the other values."""
    if choice not in grid.product.names:
        return {}
    place = grid.product.names.index(choice)
    found: dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]] = {}
    for point in sorted(grid.runs):
        rest = (*point[:place], *point[place + 1 :])
        found.setdefault(rest, []).append((point[place], point))
    return found
