"""Studies as they are committed: `python -m benchmarks.kept STUDY FOLDER`.

STUDY is the folder of one, or a storage path: then all that are in it, and the ledger of the test
splits that they opened, which counts on where it is copied to. Of each are kept its tables and
descriptions, its confirmation's included, without networks, copies, pictures and logs, and with
DATA for the place of its data. One that is not done goes on wherever it is copied to, by the
command that began it with its --data-dir: what ended stays, what ran begins anew.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import ended
from ffl_ray.confirm.confirmation import KIND
from ffl_ray.errors import SettingError
from ffl_ray.results.description import read_description
from ffl_ray.results.openings import FOLDER as LEDGER
from ffl_ray.results.storage.storage import Storage

DATA, DATA_DIR = "DATA", "data.dir"
FOLDERS = {"checkpoints", "classes", ".copies"}
KEPT = {".json", ".parquet"}


def keep(study: Path, out: Path) -> None:
    """Write what is to be kept of a study into a folder, in the place of what is kept there.

    Args:
        study: its folder, or a storage path with some.

    Raises:
        StudyError: there is no study.
        SettingError: the folder is another one's, or one holds the other.
    """
    study, out = study.resolve(), out.resolve()
    found = _folders(study)
    if not found:
        read_description(Storage(str(study)))
    if study.is_relative_to(out) or out.is_relative_to(study):
        raise SettingError(f"FOLDER must lie beside STUDY, {study}, not be {out}")
    if out.exists() and not _is_kept(out):
        raise SettingError(f"FOLDER must be new, or hold what was kept before alone, not {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as made:
        for file in (file for folder in found or [study] for file in sorted(folder.rglob("*"))):
            name = file.relative_to(study)
            if file.suffix in KEPT and not (file.name[0] == "." or FOLDERS & {*name.parts}):
                _keep_file(file, Path(made, "new", name))
        if out.exists():
            out.rename(Path(made, "old"))
        Path(made, "new").rename(out)


def _folders(path: Path) -> list[Path]:
    """The studies of a storage path, and its ledger; none: it is no storage path."""
    if (path / "study.json").exists():
        return []
    studies = sorted(found.parent for found in path.glob("*/study.json"))
    kinds = [json.loads(Path(one, "study.json").read_bytes()).get("kind") for one in studies]
    if not studies or KIND in kinds:  # the folder of a study that lost its description
        return []
    return [*studies, path / LEDGER]


def _is_kept(out: Path) -> bool:
    """Whether a folder holds a study's tables and descriptions, or several studies', alone."""
    files = [file for file in out.rglob("*") if not file.is_dir()]
    alone = all(f.suffix in KEPT and not FOLDERS & {*f.relative_to(out).parts} for f in files)
    return alone and any(f.name == "study.json" for f in files)


def _keep_file(file: Path, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(_without_place(pq.ParquetFile(file).read()), out, compression="zstd")
    else:
        found = json.loads(file.read_text(encoding="utf-8"), object_hook=_placeless)
        out.write_text(json.dumps(found, indent=2), encoding="utf-8")


def _placeless(found: dict[str, Any]) -> dict[str, Any]:
    is_named = isinstance(found.get(DATA_DIR), str)
    return found | {DATA_DIR: DATA} if is_named else found


def _without_place(table: pa.Table) -> pa.Table:
    if DATA_DIR not in table.column_names:
        return table
    index, field = table.schema.get_field_index(DATA_DIR), table.schema.field(DATA_DIR)
    named = [place and DATA for place in table.column(DATA_DIR).to_pylist()]
    return table.set_column(index, field, pa.array(named, field.type))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="a folder of one, or of several")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="new, or kept before")
    args = parser.parse_args(arguments)
    keep(args.study, args.out)
    return 0


if __name__ == "__main__":
    ended(main)
