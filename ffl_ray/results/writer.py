"""The one writer of a study's tables: atomic, incremental, readable at every moment.

A table is a folder of part files. Only parts that changed are written again, each whole and in
one step, so that nobody ever reads half a row, and a kill loses nothing that was written. A
writer that opens a table which is already there goes on behind its rows.
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffl_ray.errors import StudyError
from ffl_ray.results.schema import arrow_schema
from ffl_ray.results.storage import Storage

Row = dict[str, Any]
ROWS_PER_PART = 512


class Parts:
    """The part files of one table.

    Args:
        storage: the study's folder.
        table: a name of `schema.TABLES`; the folder inside.
    """

    def __init__(self, storage: Storage, table: str) -> None:
        self.schema = arrow_schema(table)
        self._storage = storage
        self._table = table
        self._known = set(self.schema.names)
        storage.make_folder(table)
        if not self.names():
            self.write(0, self.schema.empty_table())

    def names(self) -> list[str]:
        """The part files, in order."""
        return [name for name in self._storage.names(self._table) if name.startswith("part-")]

    def read(self, name: str) -> pa.Table:
        """One part.

        Raises:
            StudyError: it can't be read, or has columns of another schema.
        """
        data = self._storage.read(f"{self._table}/{name}") or b""
        try:
            return pq.read_table(io.BytesIO(data)).select(self.schema.names).cast(self.schema)
        except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError, ValueError, OSError) as error:
            place = f"{self._storage.location}/{self._table}/{name}"
            raise StudyError(f"{place} can't be read as a part of this schema: {error}") from error

    def write(self, part: int, rows: pa.Table) -> None:
        """Replace one part in one step."""
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        self._storage.write(f"{self._table}/part-{part:05d}.parquet", buffer.getbuffer())

    def arrow(self, rows: list[Row]) -> pa.Table:
        """Rows as a table of this schema; a name that it lacks is an error."""
        for row in rows:
            unknown = row.keys() - self._known
            if unknown:
                raise KeyError(f"table {self._table} has no column {sorted(unknown)}")
        return pa.Table.from_pylist(rows, schema=self.schema)


class AppendedTable:
    """Rows that never change, in parts of a bounded size; only the last part is in memory."""

    def __init__(self, storage: Storage, table: str) -> None:
        self._parts = Parts(storage, table)
        names = self._parts.names()
        self._part = len(names) - 1
        self._tail = self._parts.read(names[-1])

    def append(self, rows: list[Row]) -> None:
        """Store rows behind all others, at once."""
        tail = pa.concat_tables([self._tail, self._parts.arrow(rows)])
        while tail.num_rows > ROWS_PER_PART:
            self._parts.write(self._part, tail.slice(0, ROWS_PER_PART))
            tail = tail.slice(ROWS_PER_PART)
            self._part += 1
        self._tail = tail.combine_chunks()
        self._parts.write(self._part, self._tail)

    def rows(self) -> list[Row]:
        """All rows, read back from storage."""
        return [row for name in self._parts.names() for row in self._parts.read(name).to_pylist()]


class KeyedTable:
    """Rows that change: one per key, all in memory, a part written when one of its rows changes."""

    def __init__(self, storage: Storage, table: str, key: str) -> None:
        self._parts = Parts(storage, table)
        self._key = key
        self._rows: list[Row] = []
        for name in self._parts.names():
            self._rows += self._parts.read(name).to_pylist()
        self._index = {row[key]: position for position, row in enumerate(self._rows)}

    def __getitem__(self, key: str) -> Row:
        return self._rows[self._index[key]]

    def __contains__(self, key: str) -> bool:
        return key in self._index

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of their first appearance."""
        return self._rows

    def update(self, key: str, **changes: Any) -> None:
        """Create or change the row of a key, and store it at once."""
        if key not in self._index:
            self._index[key] = len(self._rows)
            self._rows.append({self._key: key})
        position = self._index[key]
        self._rows[position] |= changes
        part = position // ROWS_PER_PART
        first = part * ROWS_PER_PART
        self._parts.write(part, self._parts.arrow(self._rows[first : first + ROWS_PER_PART]))
