"""The one writer of a study's tables: atomic, incremental, readable at every moment.

A table is a folder of part files. Only parts that changed are written again, each whole and in
one step, so that nobody ever reads half a row, and a kill loses nothing that was written. A
writer that opens a table which is already there goes on behind its rows.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ffl_ray.results.parts import Parts, Row
from ffl_ray.results.storage import Storage

__all__ = ["AppendedTable", "KeyedTable", "Row"]

ROWS_PER_PART = 512


class AppendedTable:
    """Rows of trials that never change, in parts of a bounded size; the last one is in memory."""

    def __init__(self, storage: Storage, table: str) -> None:
        self._parts = Parts(storage, table)
        self._parts.make_first()
        names = self._parts.names()
        self._part = len(names) - 1
        self._latest: dict[str, int] = {}
        self._parts_of: dict[str, set[int]] = {}
        for part, name in enumerate(names):
            self._tail = self._parts.read(name)
            self._remember(part, self._tail)

    def latest_epoch(self, trial_id: str) -> int:
        """The highest epoch among a trial's rows; 0 when it has none."""
        return self._latest.get(trial_id, 0)

    def replace(self, trial_id: str, rows: list[Row]) -> None:
        """Store a trial's rows in place of those it has."""
        for part in sorted(self._parts_of.pop(trial_id, set())):
            table = (
                self._tail if part == self._part else self._parts.read(f"part-{part:05d}.parquet")
            )
            kept = table.filter(pc.not_equal(table["trial_id"], trial_id))
            if part == self._part:
                self._tail = kept
            else:
                self._parts.write(part, kept)
        self.append(rows)

    def append(self, rows: list[Row]) -> None:
        """Store rows behind all others, at once."""
        tail = pa.concat_tables([self._tail, self._parts.arrow(rows)])
        while tail.num_rows > ROWS_PER_PART:
            full = tail.slice(0, ROWS_PER_PART)
            self._parts.write(self._part, full)
            self._remember(self._part, full)
            tail = tail.slice(ROWS_PER_PART)
            self._part += 1
        self._tail = tail.combine_chunks()
        self._parts.write(self._part, self._tail)
        self._remember(self._part, self._tail.slice(max(0, self._tail.num_rows - len(rows))))

    def _remember(self, part: int, table: pa.Table) -> None:
        """Note which trials have rows in a part, and how far they are."""
        ids, epochs = table["trial_id"].to_pylist(), table["epoch"].to_pylist()
        for trial_id, epoch in zip(ids, epochs, strict=True):
            self._parts_of.setdefault(trial_id, set()).add(part)
            self._latest[trial_id] = max(self._latest.get(trial_id, 0), epoch or 0)

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
