"""The one writer of a study's tables: atomic, incremental, readable at every moment.

A table is a folder of part files. Only parts that changed are written again, each whole and in
one step, so that nobody ever reads half a row, and a kill loses nothing that was written.
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffl_ray.results.schema import arrow_schema
from ffl_ray.results.storage import Storage

Row = dict[str, Any]
ROWS_PER_PART = 512


class TableWriter:
    """Rows of one table, in parts of a bounded size.

    Args:
        storage: the study's folder.
        table: a name of `schema.TABLES`; the folder inside.
        rows: those already stored, when a study goes on.
    """

    def __init__(self, storage: Storage, table: str, rows: int = 0) -> None:
        self._storage = storage
        self._table = table
        self._schema = arrow_schema(table)
        self._known = set(self._schema.names)
        self._first = rows
        self._tail: list[Row] = []
        storage.make_folder(table)
        if not rows:
            self._write_part(0, [])

    def append(self, rows: list[Row]) -> None:
        """Store rows behind all others, at once."""
        self._check(rows)
        self._tail += rows
        while self._tail:
            part, offset = divmod(self._first, ROWS_PER_PART)
            assert offset == 0, "a tail begins at a part's first row"
            self._write_part(part, self._tail[:ROWS_PER_PART])
            if len(self._tail) < ROWS_PER_PART:
                return
            self._tail = self._tail[ROWS_PER_PART:]
            self._first += ROWS_PER_PART

    def _check(self, rows: list[Row]) -> None:
        for row in rows:
            unknown = row.keys() - self._known
            if unknown:
                raise KeyError(f"table {self._table} has no column {sorted(unknown)}")

    def _write_part(self, part: int, rows: list[Row]) -> None:
        write_part(self._storage, self._table, part, self._schema, rows)


class KeyedTable:
    """Rows that change: one per key, kept in memory, each part written when one of its does."""

    def __init__(self, storage: Storage, table: str, key: str) -> None:
        self._storage = storage
        self._table = table
        self._schema = arrow_schema(table)
        self._key = key
        self._rows: list[Row] = []
        self._index: dict[str, int] = {}
        storage.make_folder(table)
        write_part(storage, table, 0, self._schema, [])

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
        unknown = changes.keys() - set(self._schema.names)
        if unknown:
            raise KeyError(f"table {self._table} has no column {sorted(unknown)}")
        if key not in self._index:
            self._index[key] = len(self._rows)
            self._rows.append({self._key: key})
        position = self._index[key]
        self._rows[position] |= changes
        part = position // ROWS_PER_PART
        first = part * ROWS_PER_PART
        rows = self._rows[first : first + ROWS_PER_PART]
        write_part(self._storage, self._table, part, self._schema, rows)


def write_part(
    storage: Storage, table: str, part: int, schema: pa.Schema, rows: list[Row]
) -> None:
    """Write one part file of a table in one step."""
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd", version="2.6"
    )
    storage.write(f"{table}/part-{part:05d}.parquet", buffer.getbuffer())
