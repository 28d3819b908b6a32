"""The part files of a table: read one by one, written whole.

A row is stored in one part and never moves to another. Whoever lists a folder and then opens its
files, as pandas does, takes his time between the two: were rows moved, by merging small parts
into a large one, he could meet a row twice, not at all, or a file that is gone. So there is no
merging, and a part is as large as writing it again with each of its rows allows
(`writer.ROWS_PER_PART`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffl_ray.config.older import EPOCHS, SHARES, of_today
from ffl_ray.errors import StudyError, on_one_line
from ffl_ray.results.guard import MOST_CLASS_ROWS, MOST_ROWS, check_rows, check_size
from ffl_ray.results.schema import arrow_schema
from ffl_ray.results.storage.retry import LOG
from ffl_ray.results.storage.storage import COPIES, Storage

Row = dict[str, Any]
AGAIN = "the command that wrote it, started again, mends it from the study's own copy"
SHARED = ("epoch", "split", "split_hash")
HALVES = pa.list_(pa.float32())
UNREADABLE = (pa.ArrowException, LookupError, OSError, OverflowError, TypeError, ValueError)


class Parts:
    """The part files of one table.

    Args:
        storage: the study's folder.
        table: a name of `schema.TABLES`; the folder inside.
        mends: put the copy of a part that can't be read in its place; for the writer alone.
    """

    def __init__(self, storage: Storage, table: str, *, mends: bool = False) -> None:
        self.schema = arrow_schema(table)
        self._mends = mends
        self._storage = storage
        self._table = table
        self._known = set(self.schema.names)
        # Names of classes would be a dictionary as long as a member has rows (see check_size).
        self._texts = [
            field.name
            for field in self.schema
            if field.type == pa.string() and field.name != "class"
        ]
        # Numbers of few bits, many in a row: their bytes apart, zstd finds the empty ones.
        halves = [field.name for field in self.schema if field.type == HALVES]
        self._encodings = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in halves} or None
        self._compression = "zstd" if halves else "lz4"

    def names(self) -> list[str]:
        """The part files, in order."""
        found = [name for name in self._storage.names(self._table) if name.startswith("part-")]
        return sorted(found, key=number)

    def of_trial(self, trial_id: str) -> list[str]:
        """The part of a trial, in a table that has one for each; none where it has no rows."""
        return [name for name in self.names() if number(name) == int(trial_id)]

    def gone(self) -> list[str]:
        """The parts of which only the copy is left."""
        copies = self._storage.names(f"{COPIES}/{self._table}") if self._storage.is_local else []
        there = set(self.names())
        return [name for name in copies if name.startswith("part-") and name not in there]

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One part; columns that it lacks, being older than they are, are null.

        Args:
            columns: which ones; all of the schema by default.

        Raises:
            StudyError: it can't be read, or has columns of another type.
        """
        data = self._storage.read(f"{self._table}/{name}") or b""
        try:
            return self._parsed(data, columns)
        except UNREADABLE as error:
            if self._mends and self._mend(name):
                return self.read(name, columns)
            place = self._storage.child(f"{self._table}/{name}").location
            reason = on_one_line(error)
            raise StudyError(f"{place} can't be read ({reason}): {self._advice(name)}") from error

    def _parsed(self, data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
        """A part file's bytes as a table.

        Read without Arrow's threads: those of `pq.read_table` on a file object can outlive the
        interpreter and abort it at exit (seen in 12 of 20 exits, pyarrow 23 to 26).
        """
        schema = self.schema
        if columns is not None:
            schema = pa.schema([self.schema.field(column) for column in columns])
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        check_size(file.metadata, MOST_CLASS_ROWS if self._table == "classes" else MOST_ROWS)
        there, names = set(file.schema_arrow.names), set(schema.names)
        older = [old for old in SHARES if old in there and SHARES[old] in names]
        wanted = {*(names & there), *older, *([EPOCHS] * bool(older))}
        found = file.read(columns=sorted(wanted), use_threads=False)
        rows = _conformed(_with_shares(found, older), schema)
        check_rows(rows, self._table)
        return rows

    def read_all(self, columns: Sequence[str] | None = None) -> list[pa.Table]:
        """Every part, in order, several at a time.

        Raises:
            StudyError: as `read`.
        """
        names = self.names()
        if len(names) == 1:
            return [self.read(names[0], columns)]
        workers = os.cpu_count() if self._storage.is_local else None
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda name: self.read(name, columns), names))

    def write(self, part: int, rows: pa.Table, *, compressed: bool = True) -> None:
        """Replace one part in one step.

        Texts repeat and get a dictionary; measured numbers don't.

        Args:
            compressed: not worth its time for a part that will be written again in a moment.
        """
        buffer = pa.BufferOutputStream()
        pq.write_table(
            rows,
            buffer,
            compression=self._compression if compressed else "none",
            use_dictionary=self._texts,
            column_encoding=self._encodings,
            write_statistics=False,
            write_page_checksum=True,
        )
        self._storage.write(
            f"{self._table}/part-{part:05d}.parquet", memoryview(buffer.getvalue()), copied=True
        )

    def make_first(self) -> None:
        """Have at least one part, if an empty one: pandas can't read a folder of none.

        A part that is gone, and of which there is a copy, is put back first.
        """
        self._storage.make_folder(self._table)
        for name in self.gone():
            self._mend(name)
        if not self.names():
            self.write(0, self.schema.empty_table())

    def _mend(self, name: str) -> bool:
        """Put the copy of a part in its place; False when there is none that can be read."""
        data = self._storage.read(f"{COPIES}/{self._table}/{name}")
        if data is None:
            return False
        try:
            rows = self._parsed(data).num_rows
        except UNREADABLE:
            return False
        self._storage.write(f"{self._table}/{name}", data)
        LOG.warning(
            "%s was damaged or gone, and was mended from its copy: %d rows; a row that was being "
            "written meanwhile is reported again by its trial",
            self._storage.child(f"{self._table}/{name}").location,
            rows,
        )
        return True

    def _advice(self, name: str) -> str:
        """What to do about a part that can't be read."""
        if self._storage.exists(f"{COPIES}/{self._table}/{name}"):
            return AGAIN
        return "copy the whole folder again from where it was written"

    def arrow(self, rows: list[Row]) -> pa.Table:
        """Rows as a table of this schema; a name that it lacks is an error."""
        for row in rows:
            unknown = row.keys() - self._known
            if unknown:
                raise KeyError(f"table {self._table} has no column {sorted(unknown)}")
        # One call of Arrow's for all columns: `Table.from_pylist` makes one, and more, for each.
        whole = pa.Table.from_struct_array(pa.array(rows, pa.struct(list(self.schema))))
        return whole.replace_schema_metadata(self.schema.metadata)


def write_of_trial(
    storage: Storage,
    table: str,
    study: str,
    trial_id: str,
    members: Sequence[Row],
    rows: Sequence[Row],
) -> None:
    """Store a trial's rows in a table that has a part for each trial; what it has is replaced.

    Args:
        members: rows of the members table, of the epoch and split that the rows are of.
        rows: without what all of a trial's have in common.
    """
    shared = {name: members[0][name] for name in SHARED}
    ids = {"study": study, "trial_id": trial_id} | shared
    parts = Parts(storage, table)
    storage.make_folder(table)
    parts.write(int(trial_id), parts.arrow([ids | row for row in rows]))


def number(name: str) -> int:
    """The number of a part file."""
    return int(name.removeprefix("part-").removesuffix(".parquet"))


def _with_shares(found: pa.Table, older: Sequence[str]) -> pa.Table:
    """What was read, with what the version before counted in epochs as shares of the training."""
    rows = found.select([*older, EPOCHS]).to_pylist() if older else []
    for name in older:
        shares = [of_today(row)[SHARES[name]] for row in rows]
        found = found.append_column(SHARES[name], pa.array(shares, pa.float64()))
    return found


def _conformed(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """What was read, with all columns of a schema in its order and types."""
    if found.schema.equals(schema, check_metadata=True):
        return found
    there = set(found.schema.names)
    columns = []
    for field in schema:
        if field.name in there:
            column = found.column(field.name)
        else:
            column = pa.nulls(found.num_rows, field.type)
        if not column.type.equals(field.type, check_metadata=True):
            column = column.cast(field.type)  # Parquet names an item of a list otherwise
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)
