"""How often a search's answers are false, and how often they find what is there.

Permuted studies: the outcomes of a real grid's trials, dealt to its configs anew. Planted effects:
made outcomes with one design that is worse by so many standard deviations. Slow designs: the same,
halfway alone or to the end, where the best third halfway is kept. Parts of the grid:
what so many of its trials say, half of them stopped halfway, against what the whole grid says.
Searches: of a space's own sampler, scheduler and length, replayed on the grid; what their answers
claim, and whether the whole grid shows that difference and its direction.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution

from benchmarks.common import ended
from ffl_ray.config.objectives import VALUE, Objective, Row, parse_objective
from ffl_ray.config.overrides import parse_assignments, shown
from ffl_ray.config.settings import SearchConfig
from ffl_ray.replay.event_loop import replayed
from ffl_ray.replay.grid import Grid as ReplayGrid
from ffl_ray.replay.grid import open_grid
from ffl_ray.results import load
from ffl_ray.results.reader import records
from ffl_ray.results.search_answers.effects import Answer
from ffl_ray.results.search_answers.table import study_answers
from ffl_ray.results.statistics import wilson_interval
from ffl_ray.search.distributions import found_distributions
from ffl_ray.search.space import SearchSpace, load_space, settle

GRID = "benchmarks/grids/digits"
SIZES = (16, 40, 80)
EFFECTS = (0.5, 1.0, 1.5, 2.0)
OUTCOME = ["trial_id", "status", VALUE]
PLANTED = "fusion.design"
SLOW, RUNG_AGREES = ((1.0, 0.0), (2.0, 0.0), (2.0, 2.0)), 0.7
Made = tuple[pd.DataFrame, pd.DataFrame]


class Grid:
    """A grid of trials that were all trained to their end.

    Args:
        keep: which rows of its trials table are looked at.
    """

    def __init__(self, study: str, keep: Callable[[Row], bool] = lambda row: True) -> None:
        self.trials, self.epochs = load(study)[:2]
        self.trials = self.trials[[keep(row) for row in records(self.trials)]]
        self.epochs = self.epochs[self.epochs["trial_id"].isin(self.trials["trial_id"])]
        self.objective: Objective = parse_objective(str(self.trials["objective"].iloc[0]))
        self.length = int(self.epochs["epoch"].max())

    def part(self, size: int, generator: np.random.Generator) -> Made:
        """Some of its trials, every second of them stopped halfway."""
        ids = generator.choice(self.trials["trial_id"], size, replace=False)
        stopped = set(ids[::2])
        trials = self.trials[self.trials["trial_id"].isin(ids)].copy()
        trials.loc[trials["trial_id"].isin(stopped), "status"] = "pruned"
        epochs = self.epochs[self.epochs["trial_id"].isin(ids)]
        late = epochs["trial_id"].isin(stopped) & (epochs["epoch"] > self.length // 2)
        return trials, epochs[~late]

    def permuted(self, size: int, generator: np.random.Generator) -> Made:
        """The same with the outcomes dealt anew: no dimension does anything."""
        trials, epochs = self.part(size, generator)
        settings = trials.drop(columns=OUTCOME).sample(frac=1, random_state=generator)
        outcome = trials[OUTCOME].reset_index(drop=True)
        return pd.concat([outcome, settings.reset_index(drop=True)], axis=1), epochs

    def planted(self, size: int, effect: float, generator: np.random.Generator) -> Made:
        """Completed trials of made outcomes: one design is worse by so many deviations."""
        ids = generator.choice(self.trials["trial_id"], size, replace=False)
        trials = self.trials[self.trials["trial_id"].isin(ids)].copy()
        logs = generator.normal(size=size) + effect * (trials[PLANTED] == "sum")
        epochs = pd.DataFrame(
            {"trial_id": trials["trial_id"], "epoch": trials["optim.epochs"], VALUE: np.exp(logs)}
        )
        return trials, epochs

    def slow(self, size: int, early: float, late: float, generator: np.random.Generator) -> Made:
        """The same with all but the best third stopped halfway.

        Args:
            early: by how many deviations the design is worse then.
            late: and at the end.
        """
        trials, ends = self.planted(size, late, generator)
        own = np.log(ends[VALUE]) - late * (trials[PLANTED] == "sum")
        then = RUNG_AGREES * own + math.sqrt(1 - RUNG_AGREES**2) * generator.normal(size=size)
        then += early * (trials[PLANTED] == "sum")
        best = then.rank() <= size / 3
        trials["status"] = np.where(best, "completed", "pruned")
        rung = ends.assign(epoch=ends["epoch"] // 2, **{VALUE: np.exp(then)})
        return trials, pd.concat([rung, ends[best]])


class Searches:
    """Searches replayed on a grid, as tables.

    Args:
        grid: its tables.
        stored: the same as the replay has it.
        search: of each search its sampler, scheduler and number of trials.
    """

    def __init__(self, grid: Grid, stored: ReplayGrid, search: SearchConfig) -> None:
        self._stored = stored
        self._search = search
        self._rows = {row["trial_id"]: row for row in records(grid.trials)}
        self._epochs = dict(list(grid.epochs.groupby("trial_id")))

    def made(self, repeat: int) -> Made:
        """The trials and epochs of one search."""
        ended = replayed(self._stored, self._search, repeat, math.inf)
        trials, epochs = [], []
        for number, one in enumerate(itertools.islice(ended, self._search.num_samples)):
            named = {"trial_id": f"{number:05d}"}
            status = "pruned" if one.score is None else "completed"
            trials.append(self._rows[one.run.trial_id] | named | {"status": status})
            curve = self._epochs[one.run.trial_id]
            epochs.append(curve[curve["epoch"] <= one.epochs].assign(**named))
        return pd.DataFrame(trials), pd.concat(epochs)


def claims(answers: list[Answer]) -> set[tuple[str, str, bool]]:
    """What is told: of each dimension the level that is named, and whether it is called higher."""
    clearest = {one.dimension: one.clearest for one in answers if one.told and not one.beside}
    return {(name, level.name, level.shown > 0) for name, level in clearest.items()}


def shown_by(answers: list[Answer]) -> set[tuple[str, str, bool]]:
    """Every level of what is told, and whether its values are higher."""
    return {
        (one.dimension, level.name, level.shown > 0)
        for one in answers
        if one.told
        for level in one.levels
    }


def held_by(space: SearchSpace) -> Callable[[Row], bool]:
    """Whether a row of a grid has none but choices that the space has."""
    choices = {
        name: {
            shown(choice)
            for kind in kinds
            if isinstance(kind, CategoricalDistribution)
            for choice in kind.choices
        }
        for name, kinds in found_distributions(space.suggest).items()
    }
    return lambda row: all(shown(row[name]) in known for name, known in choices.items() if known)


def searches(
    study: str, space: SearchSpace, repeats: int, changes: Mapping[str, object]
) -> pd.DataFrame:
    """How many searches of a space claim something true of the grid, and something else."""
    search, keep = settle(space, changes).search, held_by(space)
    grid = Grid(study, keep)
    made = Searches(grid, open_grid(study, keep=keep), search).made
    whole = shown_by(study_answers(grid.trials, grid.epochs, grid.objective))
    found = [claims(study_answers(*made(repeat), grid.objective)) for repeat in range(repeats)]
    of_each = Counter(name for one in found for name, *_ in one & whole)
    row: dict[str, object] = {
        "trials": search.num_samples,
        "sampler": search.sampler,
        "scheduler": search.scheduler,
        "a true one told": shares(sum(bool(one & whole) for one in found), repeats),
        "another told": shares(sum(bool(one - whole) for one in found), repeats),
    }
    return pd.DataFrame([row | {name: count / repeats for name, count in of_each.items()}])


def told(answers: list[Answer]) -> set[str]:
    """The dimensions that are told to do something."""
    return {answer.dimension for answer in answers if answer.told}


def shares(hits: int, count: int) -> str:
    """A share with its 95% interval, in percent."""
    low, high = wilson_interval(hits, count)
    return f"{hits / count:.1%} ({low:.1%} to {high:.1%})"


def found(
    repeats: int, objective: Objective, made: Callable[..., Made], *of: float
) -> list[set[str]]:
    """The dimensions told by each of so many studies, made of these arguments."""
    drawn = (made(*of, np.random.default_rng(repeat)) for repeat in range(repeats))
    return [told(study_answers(*study, objective)) for study in drawn]


def errors(grid: Grid, repeats: int) -> pd.DataFrame:
    """How much is told of permuted studies, and of parts of the grid."""
    every = study_answers(grid.trials, grid.epochs, grid.objective)
    whole, rows = told(every), []
    for size in SIZES:
        dealt = found(repeats, grid.objective, grid.permuted, size)
        parts = found(repeats, grid.objective, grid.part, size)
        count = repeats * len(every)
        rows.append(
            {
                "trials": size,
                "permuted: dimensions told": shares(sum(map(len, dealt)), count),
                "permuted: studies with any": shares(sum(map(bool, dealt)), repeats),
                "parts: a true one told": shares(sum(bool(one & whole) for one in parts), repeats),
                "parts: another told": shares(sum(bool(one - whole) for one in parts), repeats),
            }
        )
    return pd.DataFrame(rows)


def power(grid: Grid, repeats: int) -> pd.DataFrame:
    """How often a planted effect of one design is told."""
    rows = []
    for size in SIZES:
        row: dict[str, object] = {"trials": size}
        for effect in EFFECTS:
            studies = found(repeats, grid.objective, grid.planted, size, effect)
            row[f"{effect:g} sd"] = shares(sum(PLANTED in one for one in studies), repeats)
        rows.append(row)
    return pd.DataFrame(rows)


def slow(grid: Grid, repeats: int) -> pd.DataFrame:
    """How often a design is told that is worse halfway, and how often without its reservation."""
    rows = []
    for early, late in SLOW:
        drawn = (grid.slow(40, early, late, np.random.default_rng(n)) for n in range(repeats))
        every = [study_answers(*study, grid.objective) for study in drawn]
        found = [one for answers in every for one in answers if one.dimension == PLANTED]
        rows.append(
            {
                "worse halfway": f"{early:g} sd",
                "worse at the end": f"{late:g} sd",
                "told": shares(sum(one.told for one in found), repeats),
                "told by completed trials too": shares(
                    sum(one.told and not one.predicted for one in found), repeats
                ),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?", default=GRID, help="a grid over fusion.design")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument(
        "--space", help="replay searches of this space alone, whose points the grid holds"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="of the space's search.*"
    )
    args = parser.parse_args()
    space = load_space(args.space) if args.space else None
    grid = Grid(args.study, held_by(space) if space else lambda row: True)
    whole = told(study_answers(grid.trials, grid.epochs, grid.objective))
    print(f"the whole grid tells: {', '.join(sorted(whole))}\n")  # noqa: T201
    tables = (
        [searches(args.study, space, args.repeats, parse_assignments(args.set))]
        if space
        else [make(grid, args.repeats) for make in (errors, power, slow)]
    )
    for table in tables:
        print(table.to_markdown(index=False), "\n")  # noqa: T201


if __name__ == "__main__":
    ended(main)
