"""A study as it is committed: `python -m benchmarks.kept STUDY FOLDER`.

Its tables and descriptions, without networks, copies, pictures and logs, and with DATA for the
place of its data. A study that is not done goes on wherever it is copied to, by the command that
began it: what ended stays, what ran begins again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import ended
from ffl_ray.results.description import read_description
from ffl_ray.results.storage.storage import Storage

DATA, DATA_DIR = "DATA", "data.dir"
FOLDERS = {"checkpoints", "classes", ".copies"}
KEPT = {".json", ".parquet"}


def keep(study: Path, out: Path) -> None:
    """Write what is to be kept of a study, its confirmation included, anew into a folder.

    Raises:
        StudyError: there is none.
    """
    place = read_description(Storage(str(study)))["settings"][DATA_DIR]
    shutil.rmtree(out, ignore_errors=True)
    for file in sorted(study.rglob("*")):
        name = file.relative_to(study)
        if file.suffix not in KEPT or file.name.startswith(".") or FOLDERS & {*name.parts}:
            continue
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".parquet":
            _keep_part(file, out / name)
        else:
            text = file.read_text(encoding="utf-8")
            text = text.replace(json.dumps(place), json.dumps(DATA))
            (out / name).write_text(text, encoding="utf-8")


def _keep_part(part: Path, out: Path) -> None:
    table = pq.ParquetFile(part).read()
    if DATA_DIR in table.column_names:
        column = table.schema.get_field_index(DATA_DIR)
        named = pa.array([DATA] * len(table), table.schema.field(column).type)
        table = table.set_column(column, table.schema.field(column), named)
    pq.write_table(table, out, compression="zstd")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="a folder")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="is replaced")
    args = parser.parse_args(arguments)
    keep(args.study, args.out)
    return 0


if __name__ == "__main__":
    ended(main)
