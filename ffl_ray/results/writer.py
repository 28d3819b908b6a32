"""The one writer of a study's tables: atomic, incremental, readable at every moment.

A table is a folder of part files. Only parts that changed are written again, each whole and in
one step, so that nobody ever reads half a row, and a kill loses nothing that was written. A row
stays in the part it was first written to (`parts` says why). A writer that opens a table which is
already there goes on behind its rows.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ffl_ray.results.parts import Parts, Row, number
from ffl_ray.results.storage.storage import Storage

__all__ = ["AppendedTable", "KeyedTable", "Row"]

# Appending a row writes the last part again, which takes longer the more rows it has; fewer rows
# make more files, which take longer to read (`compare tables` has both).
ROWS_PER_PART = 1024
# Changing a row writes its part again.
KEYED_ROWS_PER_PART = 64
GROUPED_ROWS = 64  # from here on Arrow's grouping beats a loop


class AppendedTable:
    """Rows of trials that never change, in parts of a bounded size; the last one is in memory."""

    def __init__(self, storage: Storage, table: str) -> None:
        self._parts = Parts(storage, table, mends=True)
        self._parts.make_first()
        names = self._parts.names()
        self._part = number(names[-1])
        self._tail = self._parts.read(names[-1])
        self._latest: dict[str, int] = {}
        self._parts_of: dict[str, set[int]] = {}
        self._unwritten: dict[int, pa.Table] = {}
        known = self._parts.read_all(("trial_id", "epoch"))
        for name, part in zip(names, known, strict=True):
            self._remember(number(name), part)

    def latest_epoch(self, trial_id: str) -> int:
        """The highest epoch among a trial's rows; 0 when it has none."""
        return self._latest.get(trial_id, 0)

    def replace(self, trial_id: str, rows: list[Row]) -> None:
        """Store a trial's rows in place of those it has, where these are."""
        parts = sorted(self._parts_of.get(trial_id, ()))
        if not parts:
            self.append(rows)
            return
        new, last = self._parts.arrow(rows), parts[-1]
        changed = {part: self._without(part, trial_id) for part in parts}
        changed[last] = pa.concat_tables([changed[last], new])
        del self._parts_of[trial_id]
        self._remember(last, new)
        for part, table in changed.items():
            self._stage(part, table)
        self.store()

    def append(self, rows: list[Row]) -> None:
        """Store rows behind all others, at once."""
        self.extend(self._parts.arrow(rows))

    def extend(self, rows: pa.Table) -> None:
        """Store a table of this schema behind all rows, at once.

        It is cut only where it is larger than a part: those of one call stay together.
        """
        if self._tail.num_rows and self._tail.num_rows + rows.num_rows > ROWS_PER_PART:
            self._part += 1
            self._tail = self._tail.slice(0, 0)
        while rows.num_rows > ROWS_PER_PART:
            self._add(rows.slice(0, ROWS_PER_PART))
            rows = rows.slice(ROWS_PER_PART)
            self._part += 1
            self._tail = self._tail.slice(0, 0)
        self._add(rows)

    def _add(self, rows: pa.Table) -> None:
        """Store rows in the last part, behind those it has."""
        self._remember(self._part, rows)
        self._stage(self._part, pa.concat_tables([self._tail, rows]).combine_chunks())
        self.store()

    def store(self) -> None:
        """Write every part that is not stored, also one that could not be written before."""
        for part, rows in list(self._unwritten.items()):
            self._parts.write(part, rows, compressed=rows.num_rows >= ROWS_PER_PART)
            del self._unwritten[part]

    def _stage(self, part: int, rows: pa.Table) -> None:
        """Keep a part in memory until the storage has it."""
        self._unwritten[part] = rows
        if part == self._part:
            self._tail = rows

    def _read(self, part: int) -> pa.Table:
        if part == self._part:
            return self._tail
        if part in self._unwritten:
            return self._unwritten[part]
        return self._parts.read(f"part-{part:05d}.parquet")

    def _without(self, part: int, trial_id: str) -> pa.Table:
        rows = self._read(part)
        return rows.filter(pc.not_equal(rows["trial_id"], trial_id))

    def _remember(self, part: int, rows: pa.Table) -> None:
        """Note which trials have rows in a part, and how far they are."""
        if rows.num_rows > GROUPED_ROWS:
            grouped = rows.group_by("trial_id", use_threads=False).aggregate([("epoch", "max")])
            rows = grouped.rename_columns({"epoch_max": "epoch"})
        ids = rows["trial_id"].to_pylist()
        for trial_id, epoch in zip(ids, rows["epoch"].to_pylist(), strict=True):
            self._parts_of.setdefault(trial_id, set()).add(part)
            self._latest[trial_id] = max(self._latest.get(trial_id, 0), epoch or 0)

    def rows(self, trial_id: str | None = None) -> list[Row]:
        """A trial's rows, or all, read back from storage."""
        if trial_id is None:
            return [row for part in self._parts.read_all() for row in part.to_pylist()]
        parts = [self._read(part) for part in sorted(self._parts_of.get(trial_id, ()))]
        own = [part.filter(pc.equal(part["trial_id"], trial_id)) for part in parts]
        return [row for part in own for row in part.to_pylist()]


class KeyedTable:
    """Rows that change: one per key, all in memory, a part written when one of its rows changes."""

    def __init__(self, storage: Storage, table: str, key: str) -> None:
        self._parts = Parts(storage, table, mends=True)
        self._parts.make_first()
        self._key = key
        self._rows: list[Row] = []
        self._part_of: list[int] = []
        self._positions: dict[int, list[int]] = {}
        self._changed: set[int] = set()
        names = self._parts.names()
        for name, part in zip(names, self._parts.read_all(), strict=True):
            self._positions[number(name)] = []
            for row in part.to_pylist():
                self._place(row, number(name))
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
        self.change(key, **changes)
        self._store(self._part_of[self._index[key]])

    def change(self, key: str, **changes: Any) -> None:
        """Create or change the row of a key; it is stored by the next `store`, or an `update`."""
        if key not in self._index:
            last = max(self._positions)
            full = len(self._positions[last]) >= KEYED_ROWS_PER_PART
            self._index[key] = len(self._rows)
            self._place({self._key: key}, last + full)
        position = self._index[key]
        self._rows[position] |= changes
        self._changed.add(self._part_of[position])

    def store(self) -> None:
        """Write every part that holds changes."""
        for part in sorted(self._changed):
            self._store(part)

    def _store(self, part: int) -> None:
        rows = [self._rows[position] for position in self._positions[part]]
        self._parts.write(part, self._parts.arrow(rows))
        self._changed.discard(part)

    def _place(self, row: Row, part: int) -> None:
        self._positions.setdefault(part, []).append(len(self._rows))
        self._part_of.append(part)
        self._rows.append(row)
