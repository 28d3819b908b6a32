"""What no writer wrote: JSON values and Parquet files of another type, size or shape."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.stress.fuzzing.values import text

NUMBERS = (
    -1, 0, 1, 2, 7, 10**13, 2**62, -(2**63), 0.5, -0.5, 1e300, -1e300, 5e-324, float("nan"),
    float("inf"), float("-inf"),
)  # fmt: skip
CHOICES: tuple[Mapping[str, Any], ...] = (
    {"name": "CategoricalDistribution", "attributes": {"choices": [[1, 2], {"a": [1]}, None]}},
    {"name": "CategoricalDistribution", "attributes": {"choices": []}},
    {"name": "IntDistribution", "attributes": {"low": 9, "high": 1, "step": 1, "log": False}},
    {"name": "FloatDistribution", "attributes": {"low": "a", "high": None}},
    {"name": "FloatDistribution", "attributes": {"low": 0.1, "high": float("inf"), "log": True}},
    {"name": "UniformDistribution", "attributes": {"low": 0, "high": 1}},
    {"name": "Exec", "attributes": {}},
)


def clean(rng: random.Random, length: int) -> str:
    """A text that can be written as UTF-8."""
    return text(rng)[:length].encode("utf-8", "replace").decode()


def value(rng: random.Random, depth: int = 2) -> Any:
    """A JSON value of any type, nested now and then."""
    kind = rng.randrange(9)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return clean(rng, 2000)
    if kind < 7 or not depth:
        return rng.choice((None, True, False, [], {}, "", "nan", 10**400))
    if kind == 7:
        return [value(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    return {text(rng)[:20]: value(rng, depth - 1) for _ in range(rng.randint(1, 3))}


def strange_json(rng: random.Random, whole: Any) -> Any:
    """A JSON value with a node replaced, lost, copied beside itself or wrapped."""
    made = copy.deepcopy(whole)
    parent, key = _node(rng, made)
    if parent is None:
        return value(rng)
    how = rng.randrange(6)
    if how == 0:
        del parent[key]
    elif how == 1:
        parent[key] = rng.choice(([parent[key]], {"a": parent[key]}, str(parent[key])))
    elif how == 2 and isinstance(parent, list):
        parent.append(parent[key])
    elif how == 3 and isinstance(parent, dict):
        parent[text(rng)[:30]] = parent[key]
    else:
        parent[key] = rng.choice(CHOICES) if rng.random() < 0.1 else value(rng)
    return made


def _node(rng: random.Random, whole: Any) -> tuple[Any, Any]:
    """A container and a key in it, at any depth; none where there is no container with one."""
    inside = whole
    parent, key = None, None
    while isinstance(inside, (dict, list)) and inside:
        parent = inside
        key = rng.choice(list(inside)) if isinstance(inside, dict) else rng.randrange(len(inside))
        inside = parent[key]
        if rng.random() < 0.4:
            break
    return parent, key


def strange_cells(rng: random.Random, table: pa.Table) -> pa.Table:
    """The table with some cells of a column, or all, of the column's type and of no use."""
    try:
        rows = table.to_pylist()
    except OverflowError:
        return table  # it has a time already that nobody lives to see
    for _ in range(rng.choice((1, 1, 2, 4))):
        field = rng.choice(list(table.schema))
        hit = rows if rng.random() < 0.3 else [rng.choice(rows)]
        for row in hit:
            row[field.name] = _cell(rng, field, row[field.name])
    try:
        return pa.Table.from_pylist(rows, schema=table.schema)
    except pa.ArrowTypeError:
        return table  # no cell of this type can hold it


def _cell(rng: random.Random, field: pa.Field, old: Any) -> Any:
    if rng.random() < 0.15:
        return None
    made: dict[str, Callable[[], Any]] = {
        "int64": lambda: rng.choice([one for one in NUMBERS if isinstance(one, int)]),
        "double": lambda: float(rng.choice(NUMBERS)),
        "list": lambda: rng.choice(([], [None], [float(rng.choice(NUMBERS))], [0.5] * 9)),
        "timestamp": lambda: rng.choice((0, 2**62, -(2**62))),
        "string": lambda: _word(rng, field.name, old),
    }
    kind = re.match(r"[a-z0-9]+", str(field.type))
    return made.get(kind[0] if kind else "", lambda: old)()


def _word(rng: random.Random, name: str, old: str | None) -> str:
    if old is not None and old[:2] == '{"' and rng.random() < 0.9:
        return json.dumps(strange_json(rng, json.loads(old)))
    if name.endswith("_id"):
        return rng.choice(("00000", "99999", "1", "-1", "x", "branch0", "٣", "00001"))
    words = ("pruned", "running", "failed", "interrupted", "completed", "latest", "best", "test")
    return rng.choice((*words, "fused", "branch9", "a+b", clean(rng, 500)))


def strange_rows(rng: random.Random, table: pa.Table) -> pa.Table:
    """The table with rows twice, none, or one of many."""
    first = table.slice(0, 1)
    return rng.choice((pa.concat_tables([table, first]), table.slice(0, 0), first, table.slice(1)))


def strange_columns(rng: random.Random, table: pa.Table) -> pa.Table:
    """The table with a column lost, twice, of another type, nested, or one that nobody knows."""
    name = rng.choice(table.column_names)
    at, count = table.column_names.index(name), len(table)
    nested = pa.array([{"a": [{"b": 1}]}] * count)
    other: tuple[Callable[[], pa.Array], ...] = (
        lambda: nested,
        lambda: pa.array([[[1]]] * count),
        lambda: pa.array([clean(rng, 50)] * count),
        lambda: pa.array([rng.choice(NUMBERS[:8])] * count),
        lambda: pa.array([1.5] * count),
        lambda: pa.array([True] * count),
        lambda: pa.array([b"\xff\xfe"] * count),
        lambda: pa.nulls(count),
        lambda: table[name].combine_chunks().dictionary_encode(),
        lambda: pa.array([10**13] * count).cast(pa.timestamp("us")),
        lambda: pa.array([10**30] * count, pa.decimal128(38)),
    )
    how = rng.randrange(5)
    if how == 0:
        return table.drop_columns([name])
    if how == 1:
        return table.append_column(pa.field(name, table[name].type), table[name])
    if how == 2:
        return table.append_column(text(rng)[:30] or "x", nested)
    try:
        return table.set_column(at, name, rng.choice(other)())
    except (pa.ArrowException, ValueError):
        return table.drop_columns([name])


def strange_table(rng: random.Random, path: Path) -> None:
    """Change a part file in one way or two."""
    table = pq.read_table(path, use_threads=False)
    changes = (strange_cells, strange_cells, strange_cells, strange_rows, strange_columns)
    for change in rng.sample(changes, rng.choice((1, 1, 2))):
        table = change(rng, table) if len(table) else table
    pq.write_table(table, path)


def strange_file(rng: random.Random, path: Path) -> None:
    """Change a JSON file in one place or some."""
    found = json.loads(path.read_text())
    for _ in range(rng.choice((1, 1, 2, 3))):
        whole = rng.random() < 0.03
        found = value(rng) if whole else strange_json(rng, found)
        if not isinstance(found, (dict, list)):
            break
    if rng.random() < 0.1 and isinstance(found, dict):
        found["kind"] = rng.choice(("search", "train", "confirm", "reproduce", "x"))
    path.write_text(json.dumps(found))
