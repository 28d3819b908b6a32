"""The command `replay`: every candidate on the same grid, and what is written of it."""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import ffl_ray
from ffl_ray.console.terminal import make_console
from ffl_ray.errors import SettingError
from ffl_ray.planning.layout import available_cpus
from ffl_ray.replay.candidates import Policy, candidates
from ffl_ray.replay.grid import Grid, open_grid
from ffl_ray.replay.regret import Array, regret_curve
from ffl_ray.replay.tables import curves_table, leaderboard, repeats_table, shown_board
from ffl_ray.report.replay_page import replay_page
from ffl_ray.results.reader import find_study
from ffl_ray.results.storage.storage import Storage

STEPS = 200
Each = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]


class Place(NamedTuple):
    """A grid, as a process opens it for itself: a space is a function, and can't be sent."""

    study: str
    storage_path: str | None
    workers: int | None

    def open(self) -> Grid:
        """The grid."""
        grid = open_grid(self.study, self.storage_path)
        return grid if self.workers is None else grid._replace(workers=self.workers)


class Searched(NamedTuple):
    """One search.

    Attributes:
        curve: its regret at each time.
        trials: how many it ended.
        cpu_s: CPU seconds of searcher, stopping rule and event loop.
    """

    curve: Array
    trials: int
    cpu_s: float


def replay(args: argparse.Namespace, more: Sequence[Policy] = ()) -> int:
    """The exit status of a replay with these options.

    Args:
        more: candidates that are no settings of a search.
    """
    for name, least in (("repeats", 2), ("budget", 1), ("workers", 1), ("jobs", 1)):
        given = getattr(args, name)
        if given is not None and not least <= given < math.inf:
            rule = "finite" if given == math.inf else f"at least {least}"
            raise SettingError(f"--{name} must be {rule}, not {given:g}")
    chosen, place = (
        [*candidates(args.candidate), *more],
        Place(args.study, args.storage_path, args.workers),
    )
    grid = place.open()
    times = np.linspace(0.0, args.budget * grid.training_s, STEPS + 1)
    curves: dict[str, Array] = {}
    trials: dict[str, list[int]] = {}
    cpu_s: dict[str, list[float]] = {}
    console = make_console()
    console.out(_what(grid, args.repeats, float(times[-1])))
    jobs = min(args.jobs or available_cpus(), args.repeats)
    with _pool(place, jobs) as each:
        for one in chosen:
            with console.status(f"replaying {one.name}"):
                found = [*each(partial(_search, one, times), range(args.repeats))]
            curves[one.name] = np.stack([search.curve for search in found])
            trials[one.name] = [search.trials for search in found]
            cpu_s[one.name] = [search.cpu_s for search in found]
    board = leaderboard(curves, trials, cpu_s, times)
    console.out("\n" + shown_board(board).to_markdown(index=False, disable_numparse=True))
    storage = (
        Storage(args.out) if args.out else find_study(args.study, args.storage_path).child("replay")
    )
    console.out(f"\n{_write(storage, grid, board, curves, times)}")
    return 0


@contextmanager
def _pool(place: Place, jobs: int) -> Iterator[Each]:
    """What does a search for each repeat: processes that each hold the grid, or this one."""
    if jobs == 1:
        _open(place)
        yield map
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), _open, (place,)) as pool:
        yield pool.map


_grid: Grid | None = None


def _open(place: Place) -> None:
    """Open the grid in a process of the pool, which has one thread."""
    global _grid  # noqa: PLW0603  a pool has no other place for what its processes share
    torch.set_num_threads(1)
    _grid = place.open()


def _search(candidate: Policy, times: Array, repeat: int) -> Searched:
    assert _grid is not None, "the pool's processes open it first"
    begun = time.process_time()
    ended = [*candidate.run(_grid, repeat, float(times[-1]))]
    cpu_s = time.process_time() - begun
    return Searched(regret_curve(ended, _grid.worth, times), len(ended), cpu_s)


def _what(grid: Grid, repeats: int, budget_s: float) -> str:
    seeds = sum(len(runs) for runs in grid.runs.values())
    return (
        f"{grid.name}: {len(grid.runs)} points, {seeds} trainings of {grid.epochs} epochs and "
        f"{grid.training_s:.1f} s; {repeats} searches each, {grid.workers} trials at once, "
        f"{budget_s:.0f} accelerator-seconds; regret in {grid.objective.name}"
    )


def _write(
    storage: Storage, grid: Grid, board: pd.DataFrame, curves: Mapping[str, Array], times: Array
) -> str:
    """Write the page and the tables; returns where the page is."""
    storage.make_folder()
    for name, frame in (("leaderboard", board), ("regret", repeats_table(curves, times))):
        data = io.BytesIO()
        frame.to_parquet(data, index=False)
        storage.write(f"{name}.parquet", data.getvalue())
    about = _what(grid, len(next(iter(curves.values()))), float(times[-1]))
    made = f"replayed by ffl_ray {ffl_ray.__version__}"
    page = replay_page(about, made, shown_board(board), curves_table(curves, times))
    storage.write("replay.html", page.encode())
    return storage.path("replay.html").as_posix() if storage.is_local else storage.location
