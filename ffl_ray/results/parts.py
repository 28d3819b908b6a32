"""The part files of a table: read one by one, written whole."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffl_ray.errors import StudyError
from ffl_ray.results.schema import arrow_schema
from ffl_ray.results.storage import Storage

Row = dict[str, Any]


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

    def names(self) -> list[str]:
        """The part files, in order."""
        return [name for name in self._storage.names(self._table) if name.startswith("part-")]

    def read(self, name: str) -> pa.Table:
        """One part; columns that it lacks, being older than they are, are null.

        Read without Arrow's threads: those of `pq.read_table` on a file object can outlive the
        interpreter and abort it at exit (seen in 12 of 20 exits, pyarrow 23 to 26).

        Raises:
            StudyError: it can't be read, or has columns of another type.
        """
        data = self._storage.read(f"{self._table}/{name}") or b""
        try:
            found = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
            for field in self.schema:
                if field.name not in found.column_names:
                    found = found.append_column(field, pa.nulls(found.num_rows, field.type))
            return found.select(self.schema.names).cast(self.schema)
        except (pa.ArrowException, ValueError, OSError) as error:
            place = f"{self._storage.location}/{self._table}/{name}"
            reason = " ".join(str(error).split())
            raise StudyError(
                f"{place} can't be read ({reason}): copy the whole folder again from where it was "
                f"written"
            ) from error

    def write(self, part: int, rows: pa.Table) -> None:
        """Replace one part in one step."""
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        self._storage.write(f"{self._table}/part-{part:05d}.parquet", buffer.getbuffer())

    def make_first(self) -> None:
        """Have at least one part, if an empty one: pandas can't read a folder of none."""
        self._storage.make_folder(self._table)
        if not self.names():
            self.write(0, self.schema.empty_table())

    def arrow(self, rows: list[Row]) -> pa.Table:
        """Rows as a table of this schema; a name that it lacks is an error."""
        for row in rows:
            unknown = row.keys() - self._known
            if unknown:
                raise KeyError(f"table {self._table} has no column {sorted(unknown)}")
        return pa.Table.from_pylist(rows, schema=self.schema)
