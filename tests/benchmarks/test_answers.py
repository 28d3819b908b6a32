"""Searches replayed on a grid, and whether what they claim is what the grid shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.grids import EPOCHS, final_nll, make_grid

from benchmarks.answers import GRID, Grid, Searches, claims, shown_by
from ffl_ray.config.objectives import VALUE
from ffl_ray.config.settings import SearchConfig
from ffl_ray.replay.grid import open_grid
from ffl_ray.results.search_answers.effects import Answer, Level


def test_a_replayed_search_is_tables_of_the_trainings_that_it_met(tmp_path: Path) -> None:
    make_grid(tmp_path / "grid").close()
    study = str(tmp_path / "grid")
    search = SearchConfig(num_samples=8, sampler="random", grace=0.5, audit_trials=0)

    trials, epochs = Searches(Grid(study), open_grid(study), search).made(3)

    assert list(trials["trial_id"]) == [f"{number:05d}" for number in range(8)]
    assert set(trials["status"]) == {"completed", "pruned"}
    done = epochs.groupby("trial_id")["epoch"].max()
    assert dict(done) == {
        row.trial_id: EPOCHS if row.status == "completed" else EPOCHS // 2
        for row in trials.itertuples()
    }
    latest = epochs[epochs["epoch"] == EPOCHS].set_index("trial_id")[VALUE]
    for row in trials[trials["status"] == "completed"].to_dict("records"):
        own = final_nll(row["fusion.design"], row["distill.temperature"], row["seed"])
        assert latest[row["trial_id"]] == pytest.approx(own)


def test_a_claim_is_true_where_the_grid_shows_the_same_level_in_the_same_direction() -> None:
    def answer(name: str, p: float, sum_: float, gated: float) -> Answer:
        levels = [Level("sum", sum_, 0.1, 0.2, 1.0), Level("gated", gated, 0.1, 0.2, -1.0)]
        return Answer(name, 40, p, levels, 0.5, 0.1)

    whole = shown_by([answer("design", 0.01, 0.5, -0.4), answer("other", 0.5, 9.0, 9.0)])

    assert claims([answer("design", 0.01, 0.2, -0.3)]) <= whole
    for false in (answer("design", 0.01, 0.2, 0.3), answer("other", 0.01, 9.0, 8.0)):
        assert not claims([false]) & whole
    assert claims([answer("design", 0.5, 0.2, -0.3)]) == set()
    by_rank = answer("design", 0.01, -0.05, 0.05)  # no size is sure
    assert claims([by_rank]) == {("design", "sum", True)}


def test_of_a_slow_design_the_best_third_halfway_go_on_and_the_others_have_half_a_curve() -> None:
    grid = Grid(GRID)

    trials, epochs = grid.slow(30, 2.0, 0.0, np.random.default_rng(0))

    completed = trials[trials["status"] == "completed"]
    assert len(completed) == 10
    assert (trials["status"] == "pruned").sum() == 20
    assert set(epochs["epoch"]) == {grid.length, grid.length // 2}
    assert set(epochs.loc[epochs["epoch"] == grid.length, "trial_id"]) == set(completed["trial_id"])
    then = epochs[epochs["epoch"] < grid.length].set_index("trial_id")[VALUE]
    assert then[completed["trial_id"]].max() < then.drop(completed["trial_id"]).min()
