"""`compare tables`: Ray's own reader, by turns with ours on the same rows."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import table_writing
from benchmarks.compare import our_tables
from benchmarks.compare.our_tables import READING, ROW_BYTES, check_room, read_epochs, seconds_of
from benchmarks.compare.ray_results import read_experiment, write_experiment
from benchmarks.made_study import epochs_table, rows_of, trial_rows
from ffl_ray.bench.figures import Figure, Found, alternated, ratio
from ffl_ray.bench.study import check_least
from ffl_ray.results.storage.storage import Storage

RAY_ROW_BYTES = 2000


class Studies(NamedTuple):
    """The same made study twice, and half of Ray's.

    Attributes:
        ours: folder of our epochs table.
        rays: of a finished experiment.
        rays_half: of one with the first `half_trials` of its trials.
    """

    ours: Path
    rays: Path
    rays_half: Path
    half_trials: int


def measured(args: argparse.Namespace) -> Found:
    """Our figures, Ray's, and their ratios.

    Raises:
        SettingError: a number is not positive, or the disk has too little room.
    """
    check_least(args, ray_trials=1)
    found = our_tables.measured(args)
    read_s = next(figure.value for figure in found.figures if figure.name == "read_epochs_s")
    assert isinstance(read_s, float), "it was measured"
    count = min(args.ray_trials, args.trials)
    with tempfile.TemporaryDirectory(prefix="ffl_ray-bench-") as name:
        check_room(Path(name), args, count * args.epochs * (2 * RAY_ROW_BYTES + ROW_BYTES))
        studies = write_studies(Path(name), count, args.epochs)
        taken = read_by_turns(studies, args.rounds)
    growth = ratio(taken["ray"], taken["ray half"]) * studies.half_trials / count
    same, whole = count * args.epochs, args.trials * args.epochs
    note = (
        f"Ray read {count:,} trials, not {args.trials:,}: ray_whole_s assumes that its time grows "
        f"with the rows, which ray_growth near 1 says."
    )
    more = compared(taken, same, whole, growth=growth, read_s=read_s)
    return found._replace(figures=[*found.figures, *more], lines=(note,))


def write_studies(folder: Path, count: int, epochs: int) -> Studies:
    """So many made trials in our tables and in Ray's files."""
    storage = Storage(str(folder / "same"))
    table_writing.describe(storage)
    table_writing.fill(storage, count, epochs)
    trials = {row["trial_id"]: row for row in trial_rows(0, count, epochs)}
    reports: dict[str, list[dict[str, Any]]] = {trial_id: [] for trial_id in trials}
    for row in epochs_table(rows_of(0, count, epochs)).to_pylist():
        reports[row["trial_id"]].append(row)
    half = dict(list(trials.items())[: max(1, count // 2)])
    return Studies(
        folder / "same" / "epochs",
        write_experiment(folder / "ray", trials, reports),
        write_experiment(folder / "half", half, reports),
        len(half),
    )


def read_by_turns(studies: Studies, rounds: int) -> dict[str, list[float]]:
    """Seconds of both readers on the same rows, and of Ray's on half of them: is it per row?"""
    reads: dict[str, Callable[[], object]] = {
        "ours": partial(read_epochs, studies.ours),
        "ray": partial(read_experiment, studies.rays),
        "ray half": partial(read_experiment, studies.rays_half),
    }
    sides = {name: partial(seconds_of, read) for name, read in reads.items()}
    for side in sides.values():
        side()
    return alternated(sides, rounds)


def compared(
    taken: dict[str, list[float]], same: int, whole: int, *, growth: float, read_s: float
) -> list[Figure]:
    """Both readers' figures.

    Args:
        taken: seconds of each round.
        same: rows that both read.
        whole: rows of the whole study.
        growth: Ray's time per row over that on half the rows.
        read_s: what ours took for the whole study.
    """
    ray_s = statistics.median(taken["ray"])
    return [
        Figure("same_rows", same, "rows that both sides read, by turns"),
        Figure("ours_rows_per_s", same / statistics.median(taken["ours"]), READING),
        Figure("ray_rows_per_s", same / ray_s, "ResultGrid's metrics_dataframes, from JSON"),
        Figure("ours_over_ray", ratio(taken["ray"], taken["ours"]), "times as fast, same rows"),
        Figure("ray_growth", growth, "Ray's time per row over that on half the rows"),
        Figure("ray_whole_s", ray_s * whole / same, "Ray's for the whole study, by its rows"),
        Figure("whole_over_ray", ray_s * whole / same / read_s, "times as fast, the whole study"),
    ]
