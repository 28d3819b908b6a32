"""Studies whose files are whole and hold what no writer wrote, read by every reader."""

from __future__ import annotations

import contextlib
import functools
import io
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna

from benchmarks.stress.fuzzing.outcome import WrongError
from benchmarks.stress.fuzzing.structures import strange_file, strange_table
from benchmarks.stress.fuzzing.studies import OBJECTIVES, whole_study
from ffl_ray import results
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import SearchConfig, StudyConfig
from ffl_ray.confirm.__main__ import parser
from ffl_ray.confirm.arms import networks_to_time, plan_arms, plan_runs
from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.confirmation import KIND, Confirmation, write_tables
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.confirm.plan import following
from ffl_ray.confirm.request import request_of
from ffl_ray.confirm.tables import confirmed_accuracy
from ffl_ray.confirm.view import confirmed_tables
from ffl_ray.console.result_tables import best_table, front_table, members_table
from ffl_ray.console.terminal import make_console
from ffl_ray.console.trial_text import row_words
from ffl_ray.errors import FFLRayError, StudyError
from ffl_ray.export.__main__ import main as export
from ffl_ray.orchestration.retention import CheckpointRetention, best_of_search
from ffl_ray.report import __main__ as report
from ffl_ray.results.description import check_goes_on, describe_study, read_description
from ffl_ray.results.history import optuna_study, past_trials
from ffl_ray.results.pareto import front
from ffl_ray.results.reader import objective_by_epoch
from ffl_ray.results.schema import row_config
from ffl_ray.results.storage.storage import COPIES, Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.space import SearchSpace
from ffl_ray.search.warm_start import WarmStart, keep_warm_start, warm_start_from, warm_start_of


@functools.cache
def confirmed_study(place: Path) -> Path:
    """A search of a few trials with a confirmation of two of them, and a warm start kept."""
    folder = place / "confirmed-study"
    shutil.copytree(whole_study(place), folder)
    rows = Storage(str(folder))
    tables = StudyTables(rows, "fuzzed", OBJECTIVES)
    trials = {row["trial_id"]: row for row in tables.trials.rows}
    chosen = [
        Chosen(name, confirmed_form(resolved_from(flatten(row_config(trials[name])))))
        for name in ("00001", "00002")
    ]
    seconds = dict.fromkeys(networks_to_time(chosen, "both"), 1.0)
    arms, pairs = plan_arms(chosen, "both", seconds)
    plan = Confirmation(
        {"baselines": "both", "search.num_workers": 1}, "fused.accuracy", ["00001", "00002"],
        [1000, 1001], arms, pairs, plan_runs(arms, [1000, 1001]),
    )  # fmt: skip
    more = {"data": {"split_hash": "ab", "num_train": 9, "num_val": 0}}
    description = describe_study(KIND, plan.settings, **more, **plan.dump())
    storage = Storage(str(folder / "confirmed"))
    inner = StudyTables.open(storage, "fuzzed/confirmed", description, ())
    for run in plan.final_runs:
        inner.start(run.run_id, run.config)
        members = _members(run.config)
        row = {"epoch": run.config.optim.epochs, "accelerator_s": 2.0, "best_epoch": None}
        inner.epoch(run.run_id, {**row, "objective_value": None}, members, [])
        inner.end(run.run_id, "completed")
    write_tables(plan, inner)
    del inner, tables
    keep_warm_start(rows, warm_start_from(optuna_study(str(folder)), suggest, "fuzzed"))
    return folder


def suggest(trial: optuna.Trial) -> None:
    """The space of the study that a warm start is for."""
    trial.suggest_int("num_branches", 2, 4)
    trial.suggest_float("distill.temperature", 1, 8, log=True)


def _members(config: Any) -> list[dict[str, Any]]:
    names = [f"branch{i}" for i in range(len(config.model.mix))]
    numbers = {"accuracy": 0.8, "top5": 0.9, "nll": 0.5, "ece": 0.1, "parameters": 9, "macs": 99}
    return [
        {"member": name, "split": "test", "split_hash": "ab", "images": 9, **numbers}
        | {"epoch": config.optim.epochs, "backbone": None}
        for name in (*names, "ensemble", "fused")
    ]


def prepare(place: Path) -> None:
    """Write the whole study, and load what reports load: it takes longer than a case may."""
    report.main([str(confirmed_study(place)), "--out", str(place / "whole.html")])


def case(rng: random.Random, folder: Path) -> None:
    """Change a file of a study, or two, and read it with every reader: right, or one line.

    Raises:
        StudyError: what the last reader that refused it said.
        WrongError: a reader ended otherwise.
    """
    place = folder / "fuzzed"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(confirmed_study(folder.parent), place)
    for copies in (place / COPIES, place / "confirmed" / COPIES):
        shutil.rmtree(copies, ignore_errors=True)
    files = sorted(p for p in place.rglob("*") if p.suffix in (".parquet", ".json"))
    for path in rng.sample(files, rng.choice((1, 1, 2))):
        (strange_file if path.suffix == ".json" else strange_table)(rng, path)
    some = rng.sample(list(READERS.values()), 3)
    refusals = [said for read in some if (said := _refusal(rng, read, place))]
    if refusals:
        raise StudyError(refusals[-1])


def _refusal(rng: random.Random, read: Callable[[random.Random, Path], None], place: Path) -> str:
    try:
        read(rng, place)
    except FFLRayError as error:
        if "\n" in str(error):
            raise WrongError(f"a refusal of several lines: {error}") from error
        return str(error)
    return ""


def _report(rng: random.Random, place: Path) -> None:
    kind = rng.choice(("md", "csv", "html" if rng.random() < 0.1 else "md"))
    out = place.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    _ran(report.main, [str(place), "--format", kind, "--out", str(out / "x")])
    inner = place / "confirmed"
    _ran(report.main, [str(inner), "--format", kind, "--out", str(out / "y")])


def _ran(main: Callable[[list[str]], int], arguments: list[str]) -> None:
    """Run a command in this process.

    Raises:
        StudyError: it refused.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = main(arguments)
    if status not in (0, 2) or said.getvalue().count("\n") > 1:
        raise WrongError(f"{arguments[0]} ends with {status}: {said.getvalue()}")
    if status:
        raise StudyError(said.getvalue().strip())


def _history(rng: random.Random, place: Path) -> None:
    study = optuna_study(str(place))
    warm_start_from(study, suggest, "fuzzed")


def _kept_warm_start(rng: random.Random, place: Path) -> None:
    search = SearchConfig(warm_start=("x",), startup_trials=3)

    def none(names: Sequence[str]) -> WarmStart:
        raise StudyError("there is no other study")

    kept = warm_start_of(Storage(str(place)), search, none)
    if kept is not None:
        kept.suggest(SearchSpace("space.py", {}, suggest).suggest, search, rng.randrange(2))


def _same_settings(rng: random.Random, place: Path) -> None:
    check_goes_on(Storage(str(place)), "search", flatten(StudyConfig()))


def _go_on(rng: random.Random, place: Path) -> None:
    tables = StudyTables(Storage(str(place)), "fuzzed", OBJECTIVES)
    past_trials(tables.trials.rows, objective_by_epoch(tables.storage))
    CheckpointRetention(tables.storage, best_of_search(OBJECTIVES, 2)).apply(tables.trials.rows)
    _show(tables)


def _show(tables: StudyTables) -> None:
    rows = tables.trials.rows
    console = make_console()
    console.file = io.StringIO()
    console.print(best_table(rows, OBJECTIVES))
    console.print(front_table(front(rows, tables.member_rows(), OBJECTIVES)))
    console.print(members_table(tables.member_rows()))
    for row in rows:
        row_words(row)


def _load(rng: random.Random, place: Path) -> None:
    results.load(str(place))
    results.front(str(place))


def _export(rng: random.Random, place: Path) -> None:
    pick = rng.choice((["--pick", "knee"], ["--max-macs", "1G"], ["--trial", "1"], []))
    for study in (place, place / "confirmed"):
        _ran(export, [str(study), *pick, "--out", str(place / "model")])


def _confirm(rng: random.Random, place: Path) -> None:
    request = request_of(parser().parse_args([str(place), "--top", "2", "--seeds", "2"]))
    storage = request.storage
    if storage.exists("study.json"):
        before = Confirmation.load(read_description(storage), storage.location)
        following(request, before)
        if not before.winners <= {run.run_id for run in before.final_runs}:
            raise WrongError("weights of a run stay that is none")
        tables = StudyTables(storage, "fuzzed/confirmed", ())
        rows = write_tables(before, tables)
        console = make_console()
        console.file = io.StringIO()
        shown = confirmed_tables(rows["summary"], rows["comparisons"], storage.location)
        for table in shown:
            console.print(table)


def _accuracy(rng: random.Random, place: Path) -> None:
    confirmed_accuracy(Storage(str(place)), "00001", "fused")


READERS: dict[str, Callable[[random.Random, Path], None]] = {
    "load": _load,
    "history": _history,
    "warm start": _kept_warm_start,
    "export": _export,
    "accuracy": _accuracy,
    "report": _report,
    "confirm": _confirm,
    "go on": _go_on,
    "same settings": _same_settings,
}
