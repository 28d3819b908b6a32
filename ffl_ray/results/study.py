"""A study from the writing side: its tables, kept up to date by the one process that holds it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ffl_ray.config.objectives import VALUE, Objective
from ffl_ray.config.redaction import redacted
from ffl_ray.config.settings import Config
from ffl_ray.errors import StudyError
from ffl_ray.results.classes import write_classes
from ffl_ray.results.description import COPY, write_description
from ffl_ray.results.guard import check_links, understood
from ffl_ray.results.predictions import write_predictions
from ffl_ray.results.schema import config_columns
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.writer import AppendedTable, KeyedTable, Row

LATEST_COLUMNS = (
    VALUE,
    "val.fused.accuracy",
    "val.ensemble.accuracy",
    "val.best_branch.accuracy",
    "best_epoch",
    "accelerator_s",
    "peak_memory_bytes",
)
PROGRESS_EVERY_S = 0.25
# A file that is there while nobody goes on with a study that somebody has begun, unless a kill
# came before it.
LEFT = ".left"


class StudyTables:
    """The tables of one study, written row by row by this one process, which holds its lock.

    Whatever is told is in the files when the call returns, but for one thing: how far a running
    trial is, in its row of the trials table, is written four times a second at most. After a kill
    the epochs table, which is ahead then, brings that row up to date when the study goes on.

    Args:
        storage: the study's folder; what is already in its tables stays.
        name: of the study.
        objectives: whose values the trials table holds.
        begin: is called when the lock is held, before the tables are read.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        objectives: Sequence[Objective] = (),
        begin: Callable[[], None] | None = None,
    ) -> None:
        self.storage = storage
        self.name = name
        self.objectives = tuple(objectives)
        storage.lock(self)
        check_links(storage)
        if begin is not None:
            begin()
        self.trials = KeyedTable(storage, "trials", "trial_id")
        self._check_objectives()
        self._epochs = AppendedTable(storage, "epochs")
        self._members = AppendedTable(storage, "members")
        self._members_of: dict[str, list[Row]] = {}
        self._settled_at = -math.inf
        self._catch_up()

    def _check_objectives(self) -> None:
        """Check that a trial has a value of each objective, or none of any."""
        for row in self.trials.rows:
            values, wanted = row["objective_values"], len(self.objectives)
            if values and wanted and len(values) != wanted:
                raise StudyError(
                    f"{self.storage.location}: trial {row['trial_id']} must have {wanted} "
                    f"objective values, not {len(values)}: {COPY}"
                )

    @classmethod
    def open(
        cls,
        storage: Storage,
        name: str,
        description: Mapping[str, Any],
        objectives: Sequence[Objective],
        *,
        may_change: frozenset[str] = frozenset(),
    ) -> StudyTables:
        """A new study, or an earlier one that goes on with the same settings and data.

        A new study's description is written before its tables, by who holds the lock.

        Args:
            description: what `describe_study` made.
            objectives: as in `StudyTables`.
            may_change: settings that may differ from those the study began with.

        Raises:
            StudyError: the folder holds a study with other settings or data, or can't be written.
        """
        named = {"study": name, **description}
        storage.make_folder()
        tables = cls(
            storage, name, objectives, lambda: write_description(storage, named, may_change)
        )
        storage.delete(LEFT)
        return tables

    def close(self) -> None:
        """Let others have the study: an exception, or a frame, may keep these tables alive.

        Who watches the study is told that nobody writes it any more.
        """
        if self.storage.is_held:
            with suppress(OSError, StudyError):
                self.storage.once(held=True).write(LEFT, b"")
        self.storage.unlock()

    def start(self, trial_id: str, config: Config, **columns: Any) -> None:
        """A trial begins, or begins another attempt."""
        before = self.trials[trial_id] if trial_id in self.trials else {}
        self.trials.update(
            trial_id,
            study=self.name,
            status="running",
            attempt=(before.get("attempt") or 0) + 1,
            started=before.get("started") or datetime.now(UTC),
            ended=None,
            epochs_done=before.get("epochs_done") or 0,
            epochs_planned=config.optim.epochs,
            **config_columns(config),
            **columns,
        )

    def epoch(
        self,
        trial_id: str,
        row: Row,
        members: list[Row],
        best: list[Row],
        predictions: Sequence[Row] = (),
        classes: Sequence[Row] = (),
    ) -> None:
        """A finished epoch; one that was reported before is passed over.

        Args:
            row: of the epochs table.
            members: of the members table, after this epoch; none in a final run but at its end.
            best: the same, after the best epoch so far; none in a final run.
            predictions: of these members on each image, as a report holds them.
            classes: of these members by class, likewise.
        """
        if row["epoch"] < self._epochs.latest_epoch(trial_id):
            return
        with understood(f"a report of trial {trial_id}"):
            self._take(trial_id, row, members, best)
            if predictions:
                write_predictions(self.storage, self.name, trial_id, members, predictions)
            if classes:
                write_classes(self.storage, self.name, trial_id, members, classes)
        self.settle()

    def _take(self, trial_id: str, row: Row, members: list[Row], best: list[Row]) -> None:
        """Enter an epoch; a checkpoint of somebody else's may report any."""
        trial = self.trials[trial_id]
        ids = {"study": self.name, "trial_id": trial_id}
        self._members_of[trial_id] = [
            ids | {"checkpoint": which} | member
            for which, members_then in (("latest", members), ("best", best))
            for member in members_then
        ]
        if row["epoch"] > self._epochs.latest_epoch(trial_id):
            self._epochs.append([ids | {"attempt": trial["attempt"]} | row])
        changes = {name: row.get(name) for name in LATEST_COLUMNS}
        if row["best_epoch"] == row["epoch"]:
            changes["best_objective_value"] = row[VALUE]
        if members:
            changes["split_hash"] = members[0]["split_hash"]
            changes["objective_values"] = [o.value(members) for o in self.objectives]
        self.trials.change(trial_id, epochs_done=row["epoch"], **changes)

    def settle(self) -> None:
        """Store how far running trials are, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._settled_at >= PROGRESS_EVERY_S:
            self.store()
            self._settled_at = now

    def store(self) -> None:
        """Store all that is not stored yet, also what could not be stored before."""
        self._epochs.store()
        self._members.store()
        self.trials.store()

    def end(
        self, trial_id: str, status: str, error: tuple[str, str] | None = None, **columns: Any
    ) -> None:
        """A trial ends; its members get their rows.

        Args:
            status: one of `schema.STATUSES`.
            error: class name and message of what ended it.
            columns: others of the trials table to set.
        """
        kind, message = error or (None, None)
        members = self._members_of.pop(trial_id, [])
        if members:
            self._members.replace(trial_id, members)
        self.trials.update(
            trial_id,
            status=status,
            error_type=kind,
            error=message and redacted(message),
            ended=datetime.now(UTC),
            **columns,
        )
        self.storage.flush()

    def members(self, trial_id: str) -> list[Row]:
        """The member rows of an ended trial."""
        return self._members.rows(trial_id)

    def member_rows(self) -> list[Row]:
        """All rows of the members table."""
        return self._members.rows()

    def errored(self, trial_id: str, error: tuple[str, str]) -> None:
        """A trial failed and will be tried again: its latest error is kept meanwhile."""
        self.trials.update(trial_id, error_type=error[0], error=redacted(error[1]))

    def _catch_up(self) -> None:
        """Bring the trials table to where the epochs table is: a kill may have come between."""
        for trial in self.trials.rows:
            trial_id = trial["trial_id"]
            if self._epochs.latest_epoch(trial_id) > (trial["epochs_done"] or 0):
                epochs = {row["epoch"]: row for row in self._epochs.rows(trial_id)}
                row = epochs[max(epochs)]
                best = epochs.get(row["best_epoch"], {})
                changes = {name: row[name] for name in LATEST_COLUMNS}
                changes["best_objective_value"] = best.get(VALUE)
                self.trials.change(trial_id, epochs_done=row["epoch"], **changes)
        self.trials.store()
