"""Studies whose files were cut, altered, swapped or written with strange values."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.made_study import epochs_table, member_rows, rows_of, trial_rows
from benchmarks.stress.fuzzing.outcome import WrongError
from benchmarks.stress.fuzzing.values import plain, text
from ffl_ray import results
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config, StudyConfig
from ffl_ray.errors import FFLRayError, StudyError
from ffl_ray.export.choice import Rows, choose
from ffl_ray.export.rule import Rule
from ffl_ray.report import __main__ as report
from ffl_ray.results.columns import TABLES
from ffl_ray.results.description import describe_study, read_description
from ffl_ray.results.history import optuna_study, past_trials
from ffl_ray.results.parts import Parts
from ffl_ray.results.reader import objective_by_epoch, records
from ffl_ray.results.storage.storage import COPIES, Storage
from ffl_ray.results.study import StudyTables

OBJECTIVES = parse_objectives(["fused.accuracy"])
TRIALS, EPOCHS = 4, 5
KEYS = {"trials": ("trial_id",), "epochs": ("trial_id", "epoch"), "members": ("trial_id", "member")}
Damage = Callable[[random.Random, Path], None]
Kept = dict[tuple[str, Path], set[tuple[Any, ...]]]


@functools.cache
def whole_study(place: Path) -> Path:
    """A study of a few trials, three parts of each table."""
    folder = place / "whole"
    storage = Storage(str(folder))
    settings = flatten(StudyConfig()) | {"search.objectives": ["fused.accuracy"]}
    description = describe_study("search", settings, space="# none\n")
    tables = StudyTables.open(storage, "fuzzed", description, OBJECTIVES)
    del tables
    writers = {name: Parts(storage, name) for name in TABLES}
    for part in range(3):
        first = part * TRIALS
        trials = [{"study": "fuzzed", **row} for row in trial_rows(first, TRIALS, EPOCHS)]
        members = [
            {"study": "fuzzed", "trial_id": f"{trial:05d}", "checkpoint": which, **row}
            for trial in range(first, first + TRIALS)
            for which in ("latest", "best")
            for row in member_rows(trial, EPOCHS)
        ]
        writers["trials"].write(part, writers["trials"].arrow(trials))
        writers["epochs"].write(part, epochs_table(rows_of(first, TRIALS, EPOCHS)))
        writers["members"].write(part, writers["members"].arrow(members))
    return folder


def cut(rng: random.Random, path: Path) -> None:
    """Cut the file: only its beginning is left."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) + 1)])


def altered(rng: random.Random, path: Path) -> None:
    """Change a byte or some."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 20)) if data else 0):
        data[rng.randrange(len(data))] ^= rng.randint(1, 255)
    path.write_bytes(data)


def emptied(rng: random.Random, path: Path) -> None:
    """Empty the file."""
    path.write_bytes(b"")


def garbage(rng: random.Random, path: Path) -> None:
    """Write noise in the file's place."""
    path.write_bytes(rng.randbytes(rng.randint(1, 5000)))


def appended(rng: random.Random, path: Path) -> None:
    """Write noise behind the file's end."""
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 50)))


def removed(rng: random.Random, path: Path) -> None:
    """Delete the file."""
    path.unlink()


def swapped(rng: random.Random, path: Path) -> None:
    """Write another file of the study in its place."""
    path.write_bytes(rng.choice(_files(path)).read_bytes())


def spliced(rng: random.Random, path: Path) -> None:
    """Join the head of the file and the tail of another."""
    one, two = path.read_bytes(), rng.choice(_files(path)).read_bytes()
    path.write_bytes(one[: rng.randrange(len(one) + 1)] + two[rng.randrange(len(two) + 1) :])


def _files(path: Path) -> list[Path]:
    study = path.parent if path.name == "study.json" else path.parent.parent
    return sorted(p for p in study.rglob("*") if p.suffix in (".parquet", ".json"))


def other_schema(rng: random.Random, path: Path) -> None:
    """Write a good Parquet file with other columns, or ours lost or of another type."""
    if path.suffix != ".parquet":
        garbage(rng, path)
        return
    table = pq.read_table(path, use_threads=False)
    name = rng.choice(table.column_names)
    values = rng.choice(([text(rng)] * len(table), [b"\x00"] * len(table), [[1]] * len(table)))
    at = table.column_names.index(name)
    made = (
        lambda: pa.table({"x": [1, 2]}),
        lambda: table.drop_columns([name]),
        lambda: table.set_column(at, name, pa.array(values)),
    )
    pq.write_table(rng.choice(made)(), path)


def strange(rng: random.Random, path: Path) -> None:
    """Write values that nobody wrote, in a file that is whole."""
    if path.suffix != ".parquet":
        strange_description(rng, path)
        return
    table = pq.read_table(path, use_threads=False)
    rows = table.to_pylist()
    for _ in range(rng.choice((1, 1, 3))):
        row, field = rng.choice(rows), rng.choice(list(table.schema))
        row[field.name] = _of_type(rng, field.type)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def _of_type(rng: random.Random, kind: pa.DataType) -> Any:
    """A value that a column of this type takes, or none."""
    values: dict[str, Callable[[], Any]] = {
        "string": lambda: text(rng).encode("utf-8", "replace").decode(),
        "int64": lambda: rng.choice((-1, 0, 1, 2**62, -(2**62), rng.randint(-9, 999))),
        "double": lambda: rng.choice((float("nan"), float("inf"), -1.0, 0.0, 1e300)),
        "bool": lambda: rng.random() < 0.5,
        "list<element: double>": lambda: rng.choice(([], [float("nan")], [0.5] * 9, [None])),
    }
    return None if rng.random() < 0.3 else values.get(str(kind), lambda: None)()


def strange_description(rng: random.Random, path: Path) -> None:
    """Write a study.json that is JSON, with keys lost or values of another kind."""
    found = json.loads(path.read_text())
    inside = rng.choice((found, found, found["settings"]))
    key = rng.choice(sorted(inside))
    if rng.random() < 0.3:
        del inside[key]
    else:
        inside[key] = plain(rng)
    path.write_text(json.dumps(found, default=str))


DAMAGES: tuple[Damage, ...] = (
    cut, altered, altered, emptied, garbage, appended, removed, swapped, spliced, other_schema,
    strange, strange,
)  # fmt: skip


def prepare(place: Path) -> None:
    """Write the whole study, and load what reports load: it takes longer than a case may."""
    report.main([str(whole_study(place)), "--out", str(place / "whole.html")])


def rows_of_part(path: Path, table: str) -> set[tuple[Any, ...]]:
    """The keys of the rows of a part that is whole."""
    found = pq.read_table(path, columns=list(KEYS[table]), use_threads=False).to_pylist()
    return {tuple(row[name] for name in KEYS[table]) for row in found}


def case(rng: random.Random, folder: Path) -> None:
    """Damage a copy of a study, read it, and go on with it; no row of a whole part gets lost.

    Raises:
        WrongError: a whole part's row is missing, or what was refused was changed.
    """
    place = folder / "fuzzed"
    for old in (place, folder / "out"):
        shutil.rmtree(old, ignore_errors=True)
    (folder / "out").unlink(missing_ok=True)
    shutil.copytree(whole_study(folder.parent), place)
    files = _files(place / "study.json")
    hit = rng.sample(files, rng.choice((1, 1, 1, 2)))
    for path in hit:
        rng.choice(DAMAGES)(rng, path)
    kept: Kept = {
        (path.parent.name, path): rows_of_part(path, path.parent.name)
        for path in files
        if path not in hit and path.suffix == ".parquet" and COPIES not in path.parts
    }
    before = {path: path.read_bytes() for path in hit if path.exists()}
    try:
        _read(rng, place, kept)
        _go_on(place, kept)
    except FFLRayError:
        mended = {path: _copy_of(place, path) for path in before}
        changed = [p for p, data in before.items() if p.read_bytes() not in (data, mended[p])]
        if changed:
            raise WrongError(f"{changed[0].name} was changed by what was refused") from None
        raise
    finally:
        for (table, path), keys in kept.items():
            if not keys <= rows_of_part(path, table):
                raise WrongError(f"{table}/{path.name} lost rows")


def _copy_of(place: Path, path: Path) -> bytes | None:
    """The copy of a file that a study keeps twice; None where it keeps none."""
    copy = place / COPIES / path.relative_to(place)
    return copy.read_bytes() if copy.is_file() else None


def _read(rng: random.Random, place: Path, kept: Kept) -> None:
    """Read what commands read: tables, and a report, an export's choice or an Optuna study."""
    found = results.load(str(place))
    for (table, path), keys in kept.items():
        frame = getattr(found, table)
        if not keys <= set(zip(*(frame[name] for name in KEYS[table]), strict=True)):
            raise WrongError(f"rows of {table}/{path.name} were not loaded")
    what = rng.randrange(4)
    if what == 0:
        _report(rng, place)
    elif what == 1:
        optuna_study(str(place))
    elif what == 2:
        trials = {row["trial_id"]: row for row in records(found.trials)}
        description = read_description(Storage(str(place)))
        choose(
            Rule(rng.choice(("best", "knee"))),
            Rows(description, trials, records(found.members), dict.fromkeys(trials, "latest")),
        )


def _report(rng: random.Random, place: Path) -> None:
    """Run the report command in this process; a page with plots takes a second."""
    kind = "html" if rng.random() < 0.05 else rng.choice(("md", "csv"))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = report.main([str(place), "--format", kind, "--out", str(place.parent / "out")])
    if status == 2:
        raise StudyError(said.getvalue())
    if status:
        raise WrongError(f"report ends with {status}: {said.getvalue()}")


def _go_on(place: Path, kept: Kept) -> None:
    """Open what a search opens that goes on."""
    storage = Storage(str(place))
    description = read_description(storage)
    tables = StudyTables.open(storage, "fuzzed", description, OBJECTIVES)
    past_trials(tables.trials.rows, objective_by_epoch(storage))
    tables.start("99999", Config())
    known = {row["trial_id"] for row in tables.trials.rows}
    for (table, path), keys in kept.items():
        if table == "trials" and not {key[0] for key in keys} <= known:
            raise WrongError(f"trials of {path.name} are not known to the study that goes on")
