"""The subjects of the scale benchmark: driver, readers, fake nodes, bytes, the plan's word."""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import show
from benchmarks.made_study import epochs_table, member_rows, rows_of
from benchmarks.stress.scaling.driver import PLAN, feed, open_driver
from benchmarks.stress.scaling.filled import describe, fill, setting
from benchmarks.stress.scaling.paper import paper_table
from ffl_ray.bench.watched import Ran, run_watched
from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import Objective, parse_objectives
from ffl_ray.console.result_tables import best_table
from ffl_ray.console.terminal import make_console
from ffl_ray.orchestration.job import Job, report_metrics
from ffl_ray.report.__main__ import main as report
from ffl_ray.results import load
from ffl_ray.results.history import optuna_study
from ffl_ray.results.reader import records
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.session import Report

FED_TRIALS = 16
Figures = dict[str, Any]


def store(path: Path, subject: str, figures: Figures) -> None:
    """Keep a subject's figures beside those of the others, the same row replaced."""
    known = json.loads(path.read_text()) if path.exists() else {}
    known[subject] = known.get(subject, {}) | figures
    path.write_text(json.dumps(known, indent=1))


def study_of(out: Path, args: argparse.Namespace, trials: int) -> Path:
    """A study of so many made trials; made once."""
    folder = out / f"{trials}x{args.epochs}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        storage, given = Storage(str(folder / "scale")), setting(args.epochs, trials, "tpe")
        describe(storage, given)
        fill(storage, given, 0, trials)
        (folder / "done").touch()
    return folder / "scale"


def driver_calls(args: argparse.Namespace, out: Path) -> Figures:
    """Milliseconds of each call with so many trials behind it, and seconds to open."""
    found: Figures = {}
    for trials in args.trials:
        folder = study_of(out, args, trials)
        for sampler in ("tpe", "random"):
            copied = out / "fed"
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(folder, copied)
            given = setting(args.epochs, trials + FED_TRIALS, sampler)
            opened, open_s = open_driver(Storage(str(copied)), given)
            taken = feed(opened, trials, FED_TRIALS)
            del opened
            row = {name: 1e3 * statistics.mean(values) for name, values in taken.items()}
            epoch = sum(row[name] for name in ("searcher", "scheduler", "recorder"))
            whole = sum(row[name] for name in ("ask", "start", "tell", "end"))
            found[f"{trials} {sampler}"] = {
                "open_s": open_s, "ms": row, "epoch_ms": epoch, "trial_ms": whole
            }  # fmt: skip
            calls = ", ".join(f"{name} {value:.2f}" for name, value in row.items())
            show(f"{trials:>6} trials, {sampler}: opened in {sum(open_s.values()):.2f} s")
            show(f"       an epoch {epoch:.2f} ms, a trial {whole:.1f} ms: {calls}")
    return found


def readers(args: argparse.Namespace, out: Path) -> Figures:
    """Seconds and bytes of what a person opens."""
    found: Figures = {}
    for trials in args.trials:
        study = study_of(out, args, trials)
        page = out / "report.html"
        table, _, _ = load(str(study))
        rows = records(table)
        objectives = parse_objectives(["ensemble.accuracy"])
        seconds = {
            "load": seconds_of(partial(load, str(study))),
            "optuna_study": seconds_of(partial(optuna_study, str(study))),
            "best_table": seconds_of(partial(_print_best, rows, objectives)),
            "report": seconds_of(partial(report, [str(study), "--out", str(page)])),
        }
        size = sum(file.stat().st_size for file in study.rglob("*") if file.is_file())
        found[str(trials)] = seconds | {
            "report_bytes": page.stat().st_size,
            "study_bytes": size,
        }
        shown = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
        show(f"{trials:>6} trials: {shown}; report {page.stat().st_size / 1e6:.1f} MB")
    return found


def _print_best(rows: list[dict[str, Any]], objectives: tuple[Objective, ...]) -> None:
    make_console().print(best_table(rows, objectives))


def seconds_of(call: Callable[[], object]) -> float:
    """What one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def fake_nodes(args: argparse.Namespace, out: Path) -> Figures:
    """What each node costs, how fast actors start, and what the driver does in a second.

    On the fewest nodes also with trials of one epoch: what is left then is a trial's own cost.
    """
    found: Figures = {}
    for count, epochs in [(args.nodes[0], 1), *((count, args.epochs) for count in args.nodes)]:
        folder = out / f"nodes{count}x{epochs}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        numbers = (count, args.per_node, args.fed, epochs)
        command = [sys.executable, "-m", "benchmarks.stress.scaling.nodes", *map(str, numbers)]
        ran = run_watched([*command, str(folder)], folder / "log.txt")
        if not (folder / "moments.json").exists():
            show(f"{count} nodes: failed: {ran.output[-300:]}")
            continue
        name = f"{count} nodes, {epochs} epochs"
        found[name] = of_nodes(ran, json.loads((folder / "moments.json").read_text()))
        store(out / "scale.json", "nodes", found)
        show(f"{name}: {found[name]}")
    return found


def of_nodes(ran: Ran, seen: Figures) -> Figures:
    """The figures of one run over fake nodes.

    Memory is that of all nodes and of the head beside them. The driver's time for a report is
    its CPU time while every trial reports as fast as it can.
    """
    epochs, started = seen["epochs"], seen["started"]
    first, last = epochs[len(epochs) // 5], epochs[-1]
    kept = sum(first <= moment <= last for moment in epochs)
    idle = ran.cpu_between(*seen["idle"]) or {}
    busy = ran.cpu_between(first, last) or {}
    idle_s = seen["idle"][1] - seen["idle"][0]
    at_once = started[: max(1, sum(moment <= epochs[0] for moment in started))]
    return {
        "node_start_s": seen["node_s"],
        "memory_mb": {kind: size / 1e6 for kind, size in seen["memory"].items()},
        "idle_cores": {role: used / idle_s for role, used in idle.items()},
        "first_report_s": epochs[0] - seen["began"],
        "actors_before_first_report": len(at_once),
        "reports_per_s": kept / (last - first),
        "driver_ms_per_report": 1e3 * busy.get("driver", 0.0) / kept,
        "gcs_ms_per_report": 1e3 * busy.get("gcs", 0.0) / kept,
        "workers_ms_per_report": 1e3 * busy.get("workers", 0.0) / kept,
        "object_stores": seen["object_stores"],
        "reports": len(epochs),
        "trials_ended": len(seen["ended"]),
    }


def on_paper(args: argparse.Namespace, out: Path) -> Figures:
    """What the plan's costs say of a thousand trials at once."""
    show(paper_table())
    return {"table": paper_table()}


def sent_bytes(args: argparse.Namespace, out: Path) -> Figures:
    """Bytes of a trial's job and of a report of an epoch, as Ray pickles them."""
    given = setting(args.epochs, 1, "random")
    job = Job.planned(
        "00000", resolved(given.study.training), "s3://bucket/studies/name", PLAN
    )._asdict()
    found: Figures = {"job": len(pickle.dumps(job))}
    for trial, branches in ((0, 2), (2, 4)):
        row = epochs_table(rows_of(trial, 1, 1)).to_pylist()[0]
        members = member_rows(trial, 1)
        report = report_metrics(Report(row, members, members))
        found[f"report of {branches} branches"] = len(pickle.dumps(report))
    show(", ".join(f"{name} {size:,} bytes" for name, size in found.items()))
    return found


MEASURES: dict[str, Callable[[argparse.Namespace, Path], Figures]] = {
    "driver": driver_calls,
    "readers": readers,
    "nodes": fake_nodes,
    "bytes": sent_bytes,
    "paper": on_paper,
}
