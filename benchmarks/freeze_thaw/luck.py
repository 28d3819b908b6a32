"""What limits a search on a grid: how early an epoch tells of the end, and how lucky a seed is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import spearmanr

from ffl_ray.replay.grid import Grid

BEST_POINTS = (10, 20, 30)


def rank_correlations(grid: Grid) -> list[tuple[float, float]]:
    """Spearman's rank correlation of each epoch's value with the last one's, but for the last.

    Returns:
        Of all trainings that did not fail, and of the better half of them by their last value.
    """
    runs = [run for found in grid.runs.values() for run in found if not run.failed]
    scores = np.array([[grid.objective.score(value) for value in run.values] for run in runs])
    better = scores[scores[:, -1] >= np.median(scores[:, -1])]
    return [
        (_correlation(scores, epoch), _correlation(better, epoch))
        for epoch in range(grid.epochs - 1)
    ]


def _correlation(scores: np.ndarray, epoch: int) -> float:
    return float(spearmanr(scores[:, epoch], scores[:, -1]).statistic)


def regret_of_best(grid: Grid, count: int) -> float:
    """The regret of a search that trains every seed of the best points, and nothing else.

    It answers, as any search does, with the training of the best value.
    """
    worth = grid.worth
    best = sorted(worth, key=worth.__getitem__, reverse=True)
    trained = [(run, point) for point in best[:count] for run in grid.runs[point] if not run.failed]
    _, chosen = max(trained, key=lambda pair: grid.objective.score(pair[0].values[-1]))
    return worth[best[0]] - worth[chosen]


def luck_lines(grid: Grid, counts: Sequence[int] = BEST_POINTS) -> Iterator[str]:
    """Both, as Markdown."""
    yield "| epoch | rank correlation with the last, all trainings | the better half |"
    yield "|---|---|---|"
    for epoch, (of_all, of_better) in enumerate(rank_correlations(grid), start=1):
        yield f"| {epoch} | {of_all:.2f} | {of_better:.2f} |"
    regrets = (f"{regret_of_best(grid, count):.4f} of the best {count} points" for count in counts)
    yield f"\nregret of a search that trains nothing but every seed: {', '.join(regrets)}\n"
