"""The schema of the tables: Arrow's types with each column's unit and meaning, and the page of it.

`python -m ffl_ray.results.schema` prints the page docs/schema.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ffl_ray.config.methods import mix_of
from ffl_ray.config.older import of_today
from ffl_ray.config.overrides import flatten, mix_name, settings, shown, with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.results.columns import PREDICTIONS, TABLES
from ffl_ray.results.final_columns import CONFIRMED, REPRODUCED

SCHEMA_VERSION = 4
ALL_TABLES = TABLES | PREDICTIONS | CONFIRMED | REPRODUCED


def arrow_schema(table: str) -> pa.Schema:
    """The table's fixed Arrow schema, with unit and meaning in each field's metadata."""
    fields = [
        pa.field(c.name, c.type, metadata={"unit": c.unit, "meaning": c.meaning})
        for c in ALL_TABLES[table]
    ]
    return pa.schema(fields, metadata={"ffl_ray_schema": str(SCHEMA_VERSION)})


def config_columns(config: Config) -> dict[str, Any]:
    """A config as columns of the trials table."""
    columns = {n: list(v) if isinstance(v, tuple) else v for n, v in flatten(config).items()}
    mix = mix_of(config)
    return columns | {"num_branches": len(mix), "model.mix": mix_name(mix)}


def row_config(row: Mapping[str, Any]) -> Config:
    """The config of a row of the trials table; a setting that it lacks has its default.

    The inverse of `config_columns`, of rows and of pandas' alike, which hold arrays for lists; but
    a table, which may be somebody else's, has nothing downloaded.
    """
    values: dict[str, Any] = {s.name: row.get(s.name) for s in settings(Config)}
    plain = {n: v.tolist() if hasattr(v, "tolist") else v for n, v in values.items()}
    given = of_today({n: v for n, v in plain.items() if v is not None})
    return with_overrides(Config(), given | {"data.download": False})


def kept_choice(choice: Any) -> Any:
    """A choice as the tables keep it: a plain value, or its text as `--set` takes it.

    Args:
        choice: anything; an array or number of NumPy's is taken as Python's.
    """
    plain = choice.tolist() if hasattr(choice, "tolist") else choice
    if plain is None or isinstance(plain, (bool, int, float, str)):
        return plain
    return shown(tuple(plain) if isinstance(plain, list) else plain)


def params_of(text: str) -> dict[str, Any]:
    """Optuna's parameters of a trial."""
    return {name: kept_choice(value) for name, value in json.loads(text).items()}


READING = '''
```python
import duckdb
import pandas
import polars

trials = pandas.read_parquet("ray_results/digits/trials")
trials = polars.read_parquet("ray_results/digits/trials")
trials = duckdb.sql("SELECT * FROM read_parquet('ray_results/digits/trials')").df()

# The predictions table: how many of its trainings are right on each image of the test split.
folder = "ray_results/digits/confirmed/predictions"
rows = pandas.read_parquet(folder)
rows.groupby("member")["right"].agg(lambda one: sum(list(one)))
images = polars.int_ranges("images").alias("image")
rows = polars.read_parquet(folder).with_columns(images).explode("image", "right", "nll")
rows.group_by("member", "image").agg(polars.col("right").sum(), polars.col("nll").mean())
duckdb.sql(f"""
    SELECT member, image, sum(ok::INT) AS right, avg(nll) AS nll
    FROM (SELECT member, unnest(range(images)) AS image, unnest("right") AS ok, unnest(nll) AS nll
          FROM read_parquet('{folder}'))
    GROUP BY ALL ORDER BY ALL
""").df()
```
'''


PURPOSE = {
    "trials": "A row is a trial. How far a running one is, is written four times a second at "
    "most; after a kill the epochs table knows better.",
    "epochs": "A row is a finished epoch of a trial.",
    "members": "A row is one deployable classifier of an ended trial, at one checkpoint.",
    "predictions": "A row is a member after its training's last epoch, and what it makes of "
    "each image, in the order of the split: of final runs, and of others with `--predictions`. "
    "`ffl_ray.results.load(STUDY).predictions`; DuckDB's `unnest` and Polars' `explode` give a "
    "row for each image.",
    "classes": "A row is a class, as a member does on it after its training's last epoch: of "
    "completed trials on val, and of final runs on test; `compute.per_class` turns it off. "
    "`taken_for` has the cells of the confusion matrix that are not empty. "
    "`ffl_ray.results.load(STUDY).classes`.",
    "runs": "`confirm` writes this one and the next two. A row is a training.",
    "summary": "A row is a member of a confirmed config or of a baseline, over its seeds.",
    "comparisons": "A row is a member against its baseline: differences paired by seed.",
    "reproduced": "`reproduce` writes it. A row is a published value beside ours.",
}


def schema_page() -> str:
    """The documentation of the tables, in Markdown."""
    lines = [
        "# The tables of a study",
        "",
        f"Schema version {SCHEMA_VERSION}. Every column may be null; a list column holds one",
        "entry per branch. Accuracies are fractions in [0, 1], losses are nats per example, times",
        "are UTC. `python -m ffl_ray.results.schema` prints this page.",
        "",
        "A table is a folder of part files; a row stays in the part it was first written to, so",
        "that `pandas.read_parquet(FOLDER)` finds every row once at any moment. With millions of",
        'rows `pandas.read_parquet(FOLDER, dtype_backend="pyarrow")` is quicker: its lists stay',
        "in Arrow's memory. Polars and DuckDB take the bare folder, too:",
        "",
        *READING.strip().splitlines(),
        "",
        "`ffl_ray.results.arrow(STUDY, TABLE)` and `polars(STUDY, TABLE)` copy no number.",
    ]
    for table, columns in ALL_TABLES.items():
        lines += ["", f"## {table}", "", PURPOSE[table], ""]
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for name, kind, unit, meaning in columns:
            lines.append(f"| `{name}` | {kind} | {unit} | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(schema_page() + "\n")
