"""A study's rows: of the one process that writes them, or as anybody reads them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ffl_ray.results.reader import read_rows
from ffl_ray.results.storage.storage import Storage

Row = dict[str, Any]


class Trials(Protocol):
    """The trials table."""

    @property
    def rows(self) -> list[Row]:
        """Its rows."""


class StudyRows(Protocol):
    """What `StudyTables` is to whoever writes nothing."""

    @property
    def storage(self) -> Storage:
        """The study's folder."""

    @property
    def trials(self) -> Trials:
        """The trials table."""

    def member_rows(self) -> list[Row]:
        """All rows of the members table."""


class ReadTrials(NamedTuple):
    """The trials table as it was read."""

    rows: list[Row]


class ReadRows(NamedTuple):
    """A study's rows as they were read: without its lock, which somebody may hold."""

    storage: Storage
    trials: ReadTrials

    @classmethod
    def of(cls, storage: Storage) -> ReadRows:
        """Those in a study's folder.

        Raises:
            StudyError: a table is missing or damaged.
        """
        return cls(storage, ReadTrials(read_rows(storage, "trials")))

    def member_rows(self) -> list[Row]:
        """All rows of the members table."""
        return read_rows(self.storage, "members")
