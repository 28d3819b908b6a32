"""Our side of `compare tables`: a made study of many trials, written and read."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

import ffl_ray.results
from benchmarks import table_writing
from benchmarks.table_writing import Written
from ffl_ray.bench.figures import Figure, Found, alternated
from ffl_ray.bench.study import check_least
from ffl_ray.errors import SettingError
from ffl_ray.results.reader import objective_by_epoch
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables

REPORTED_TRIALS = 8
ROW_BYTES = 400
READING = 'pandas.read_parquet(FOLDER, dtype_backend="pyarrow")'


def measured(args: argparse.Namespace) -> Found:
    """The figures, measured in a temporary folder that is removed.

    Raises:
        SettingError: a number is not positive, or the disk has too little room.
    """
    check_least(args, trials=1, epochs=1)
    with tempfile.TemporaryDirectory(prefix="ffl_ray-bench-") as name:
        folder = Path(name)
        check_room(folder, args, args.trials * args.epochs * ROW_BYTES)
        figures = [
            *_writing(folder, args.trials, args.epochs),
            *_size_figures(folder / "study", args.trials * args.epochs),
            *_read_figures(folder / "study", args.trials * args.epochs, args.rounds),
        ]
    rows = args.trials * args.epochs
    title = f"tables of {args.trials:,} trials of {args.epochs} epochs: {rows:,} rows of epochs"
    return Found("tables", title, figures)


def check_room(folder: Path, args: argparse.Namespace, needed_bytes: int) -> None:
    """Check that a made study fits.

    Raises:
        SettingError: it does not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise SettingError(
            f"--trials {args.trials} with --epochs {args.epochs} needs {needed_bytes / 1e9:.1f} "
            f"GB, and {folder.parent} has {free / 1e9:.1f} GB: set TMPDIR to a folder with more "
            f"room, or lower them"
        )


def _writing(folder: Path, trials: int, epochs: int) -> list[Figure]:
    new = table_writing.describe(Storage(str(folder / "early")))
    early = table_writing.report(new, 0, min(REPORTED_TRIALS, trials), epochs)
    storage = Storage(str(folder / "study"))
    table_writing.describe(storage)
    bulk = max(0, trials - REPORTED_TRIALS)
    bulk_s = table_writing.fill(storage, bulk, epochs)
    started = time.perf_counter()
    tables = StudyTables(storage, table_writing.NAME, table_writing.OBJECTIVES)
    open_s = time.perf_counter() - started
    late = table_writing.report(tables, bulk, trials - bulk, epochs)
    return [
        *_write_figures("early", early, "in a new study"),
        *_write_figures("late", late, "at the end of the whole study"),
        Figure("bulk_rows_per_s", bulk * epochs / bulk_s if bulk else None, "appended whole"),
        Figure("open_s", open_s, "opening the whole study to go on with it"),
    ]


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
    epochs, storage = study / "epochs", Storage(str(study))
    readers: dict[str, tuple[Callable[[], object], str]] = {
        "read_epochs_s": (lambda: read_epochs(epochs), f"epochs: {READING}"),
        "read_as_objects_s": (lambda: pd.read_parquet(epochs), "the same, an array for each list"),
        "load_s": (lambda: ffl_ray.results.load(str(study)), "all tables, sorted, by load"),
        "go_on_s": (lambda: objective_by_epoch(storage), "what a sampler needs to go on"),
    }
    taken = alternated({n: partial(seconds_of, read) for n, (read, _) in readers.items()}, rounds)
    middle = {name: statistics.median(values) for name, values in taken.items()}
    figures = [Figure(name, middle[name], meaning) for name, (_, meaning) in readers.items()]
    return [*figures, Figure("read_rows_per_s", rows / middle["read_epochs_s"], "of epochs")]


def read_epochs(folder: Path) -> pd.DataFrame:
    """All rows of epochs, the quick way: lists stay in Arrow's memory."""
    return pd.read_parquet(folder, dtype_backend="pyarrow")


def seconds_of(read: Callable[[], object]) -> float:
    """Seconds of reading; what was read is let go afterwards."""
    started = time.perf_counter()
    found = read()
    taken = time.perf_counter() - started
    del found
    return taken
