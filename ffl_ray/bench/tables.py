"""`bench tables`: a made study of many trials, written and read, and read by Ray's own means."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ffl_ray.bench.figures import Figure, Found, alternated, ratio
from ffl_ray.errors import SettingError

if TYPE_CHECKING:
    import pandas as pd

    from ffl_ray.bench.table_writing import Written

REPORTED_TRIALS = 8
ROW_BYTES = 400
RAY_ROW_BYTES = 2000
READING = 'pandas.read_parquet(FOLDER, dtype_backend="pyarrow")'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subject's options."""
    parser.add_argument(
        "--trials", type=int, default=10_000, metavar="N", help="of the made study (default 10000)"
    )
    parser.add_argument(
        "--epochs", type=int, default=300, metavar="N", help="of each trial (default 300)"
    )
    parser.add_argument(
        "--ray-trials",
        type=int,
        default=200,
        metavar="N",
        help="of them, those that Ray's ResultGrid reads too, from JSON (default 200)",
    )


def run(args: argparse.Namespace) -> Found:
    """Measure it, in a temporary folder that is removed.

    Raises:
        SettingError: a number is not positive, or the disk has too little room.
    """
    _check(args)
    with tempfile.TemporaryDirectory(prefix="ffl_ray-bench-") as folder:
        _check_room(Path(folder), args)
        figures, note = _measure(Path(folder), args)
    rows = args.trials * args.epochs
    title = f"tables of {args.trials:,} trials of {args.epochs} epochs: {rows:,} rows of epochs"
    return Found("tables", title, figures, (note,))


def _check(args: argparse.Namespace) -> None:
    for option in ("trials", "epochs", "ray_trials"):
        if getattr(args, option) < 1:
            name = option.replace("_", "-")
            raise SettingError(f"--{name} must be at least 1, not {getattr(args, option)}")


def _check_room(folder: Path, args: argparse.Namespace) -> None:
    needed = args.trials * args.epochs * ROW_BYTES
    needed += 2 * min(args.ray_trials, args.trials) * args.epochs * RAY_ROW_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SettingError(
            f"--trials {args.trials} with --epochs {args.epochs} needs {needed / 1e9:.1f} GB, and "
            f"{folder.parent} has {free / 1e9:.1f} GB: set TMPDIR to a folder with more room, or "
            f"lower them"
        )


def _measure(folder: Path, args: argparse.Namespace) -> tuple[list[Figure], str]:
    from ffl_ray.bench import table_writing
    from ffl_ray.results.storage.storage import Storage
    from ffl_ray.results.study import StudyTables

    new = table_writing.describe(Storage(str(folder / "early")))
    early = table_writing.report(new, 0, min(REPORTED_TRIALS, args.trials), args.epochs)
    storage = Storage(str(folder / "study"))
    table_writing.describe(storage)
    bulk = max(0, args.trials - REPORTED_TRIALS)
    bulk_s = table_writing.fill(storage, bulk, args.epochs)
    started = time.perf_counter()
    tables = StudyTables(storage, table_writing.NAME, table_writing.OBJECTIVES)
    open_s = time.perf_counter() - started
    late = table_writing.report(tables, bulk, args.trials - bulk, args.epochs)
    del tables
    rows = args.trials * args.epochs
    figures = [
        *_write_figures("early", early, "in a new study"),
        *_write_figures("late", late, "at the end of the whole study"),
        Figure("bulk_rows_per_s", bulk * args.epochs / bulk_s if bulk else None, "appended whole"),
        Figure("open_s", open_s, "opening the whole study to go on with it"),
        *_size_figures(folder / "study", rows),
        *_read_figures(folder / "study", rows, args.rounds),
    ]
    read_s = next(f.value for f in figures if f.name == "read_epochs_s")
    assert isinstance(read_s, float), "it was measured"
    more, note = _against_ray(folder, args, read_s)
    return figures + more, note


def _write_figures(when: str, written: Written, where: str) -> list[Figure]:
    ordered = sorted(written.reports_s)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return [
        Figure(f"{when}_ms_per_epoch", written.ms_per_epoch, f"all writing by epochs, {where}"),
        Figure(f"{when}_report_ms", 1e3 * statistics.median(ordered), "a report, median"),
        Figure(f"{when}_report_p99_ms", 1e3 * p99, "a report, 99th percentile"),
        Figure(
            f"{when}_trial_ms",
            1e3 * statistics.median(written.trials_s),
            "a trial's start or end, median",
        ),
    ]


def _size_figures(study: Path, rows: int) -> list[Figure]:
    parts = list((study / "epochs").glob("part-*.parquet"))
    size = sum(part.stat().st_size for part in parts)
    return [
        Figure("epochs_parts", len(parts), "files of the epochs table"),
        Figure("epochs_bytes_per_row", size / rows, "on disk"),
    ]


def _read_figures(study: Path, rows: int, rounds: int) -> list[Figure]:
    import pandas as pd

    import ffl_ray.results
    from ffl_ray.results.reader import objective_by_epoch
    from ffl_ray.results.storage.storage import Storage

    epochs, storage = study / "epochs", Storage(str(study))
    readers: dict[str, tuple[Callable[[], object], str]] = {
        "read_epochs_s": (lambda: read_epochs(epochs), f"epochs: {READING}"),
        "read_as_objects_s": (lambda: pd.read_parquet(epochs), "the same, an array for each list"),
        "load_s": (lambda: ffl_ray.results.load(str(study)), "all tables, sorted, by load"),
        "go_on_s": (lambda: objective_by_epoch(storage), "what a sampler needs to go on"),
    }
    taken = alternated({n: partial(_seconds, read) for n, (read, _) in readers.items()}, rounds)
    middle = {name: statistics.median(values) for name, values in taken.items()}
    figures = [Figure(name, middle[name], meaning) for name, (_, meaning) in readers.items()]
    return [*figures, Figure("read_rows_per_s", rows / middle["read_epochs_s"], "of epochs")]


def read_epochs(folder: Path) -> pd.DataFrame:
    """All rows of epochs, the quick way: lists stay in Arrow's memory."""
    import pandas as pd

    return pd.read_parquet(folder, dtype_backend="pyarrow")


def _against_ray(folder: Path, args: argparse.Namespace, read_s: float) -> tuple[list[Figure], str]:
    """Both readers on the same rows, and Ray's on half of them: whether its time is per row.

    Args:
        read_s: what ours took for the whole study.
    """
    from benchmarks.compare import ray_results
    from ffl_ray.bench import made_study, table_writing
    from ffl_ray.results.storage.storage import Storage

    count = min(args.ray_trials, args.trials)
    storage = Storage(str(folder / "same"))
    table_writing.describe(storage)
    table_writing.fill(storage, count, args.epochs)
    trials = {row["trial_id"]: row for row in made_study.trial_rows(0, count, args.epochs)}
    reports: dict[str, list[made_study.Row]] = {trial_id: [] for trial_id in trials}
    rows = made_study.epochs_table(made_study.rows_of(0, count, args.epochs))
    for row in rows.to_pylist():
        reports[row["trial_id"]].append(row)
    whole = ray_results.write_experiment(folder / "ray", trials, reports)
    half = dict(list(trials.items())[: max(1, count // 2)])
    halved = ray_results.write_experiment(folder / "half", half, reports)
    sides: dict[str, Callable[[], float]] = {
        "ours": lambda: _seconds(lambda: read_epochs(folder / "same" / "epochs")),
        "ray": lambda: _seconds(lambda: ray_results.read_experiment(whole)),
        "ray half": lambda: _seconds(lambda: ray_results.read_experiment(halved)),
    }
    for side in sides.values():
        side()
    taken = alternated(sides, args.rounds)
    same = count * args.epochs
    ray_s = statistics.median(taken["ray"])
    growth = ratio(taken["ray"], taken["ray half"]) * len(half) / count
    total = args.trials * args.epochs
    figures = [
        Figure("same_rows", same, "rows that both sides read, by turns"),
        Figure("ours_rows_per_s", same / statistics.median(taken["ours"]), READING),
        Figure("ray_rows_per_s", same / ray_s, "ResultGrid's metrics_dataframes, from JSON"),
        Figure("ours_over_ray", ratio(taken["ray"], taken["ours"]), "times as fast, same rows"),
        Figure("ray_growth", growth, "Ray's time per row over that on half the rows"),
        Figure("ray_whole_s", ray_s * total / same, "Ray's for the whole study, by its rows"),
        Figure("whole_over_ray", ray_s * total / same / read_s, "times as fast, the whole study"),
    ]
    note = (
        f"Ray read {count:,} trials, not {args.trials:,}: ray_whole_s assumes that its time grows "
        f"with the rows, which ray_growth near 1 says."
    )
    return figures, note


def _seconds(read: Callable[[], object]) -> float:
    started = time.perf_counter()
    found = read()
    taken = time.perf_counter() - started
    del found
    return taken
