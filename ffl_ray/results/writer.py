"""The one writer of a study's tables: atomic, incremental, readable at every moment.

A table is a folder of part files. Only parts that changed are written again, each whole and in
one step, so that nobody ever reads half a row, and a kill loses nothing that was written. A
writer that opens a table which is already there goes on behind its rows.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ffl_ray.results.parts import Parts, Row
from ffl_ray.results.storage import Storage

__all__ = ["AppendedTable", "KeyedTable", "Row"]

ROWS_PER_PART = 512


class AppendedTable:
    """Rows that never change, in parts of a bounded size; only the last part is in memory."""

    def __init__(self, storage: Storage, table: str) -> None:
        self._parts = Parts(storage, table)
        self._parts.make_first()
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
        self._parts.make_first()
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
