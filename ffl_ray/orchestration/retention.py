"""Retention of checkpoints: of running trials the latest and the best, of ended ones a few.

So a search holds at most `2 * trials at once + keep_checkpoints` checkpoint files, however many
trials it has (one trial more for the moment in which it ends).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ffl_ray.config.objectives import Objective
from ffl_ray.results.best import MembersOf, called_best, latest_members, of_configs, ranked
from ffl_ray.results.columns import BASELINE, PLAIN
from ffl_ray.results.pareto import accuracy_front, knee
from ffl_ray.results.storage.storage import Storage

Row = dict[str, Any]
FOLDER = "checkpoints"
LATEST, BEST = "latest.pt", "best.pt"
GOES_ON = ("running", "interrupted")
# From all trials, and ids of those that have checkpoints, to the files that stay, by trial; others
# lose all.
Rule = Callable[[Sequence[Row], Collection[str]], Mapping[str, Collection[str]]]


def best_of_search(
    objectives: Sequence[Objective], count: int, members_of: MembersOf = lambda trial_id: ()
) -> Rule:
    """What stays of a search: both files of trials that go on, and the latest one of the best.

    Args:
        objectives: what the trials are ranked by.
        count: ended trials that keep their last checkpoint: first the one that is called best,
            then the plain baseline, then the knee of accuracy against cost and the rest of that
            front, which `export` picks from, then the next best.
        members_of: the member rows of a trial.
    """

    def kept(rows: Sequence[Row], stored: Collection[str]) -> Mapping[str, Collection[str]]:
        # A config's mean is over all of its seeds, those whose files are gone among them.
        order = ranked(of_configs(rows, stored), objectives)
        called = called_best(order, objectives, members_of, among=stored)
        rows = [row for row in rows if row["trial_id"] in stored]
        order = ranked(rows, objectives)
        order.sort(key=lambda row: called is None or row["trial_id"] != called.trial_id)
        fronts = _front_of(order, members_of)
        order[1:] = sorted(
            order[1:],
            key=lambda row: (row.get(BASELINE) != PLAIN, fronts.get(row["trial_id"], len(order))),
        )
        best = {row["trial_id"]: (LATEST,) for row in order[:count]}
        return best | _both(row for row in rows if row["status"] in GOES_ON)

    return kept


def _front_of(completed: Sequence[Row], members_of: MembersOf) -> dict[str, int]:
    """The places of trials on the front of accuracy against MACs of members, the knee's first."""
    members = [
        row
        for trial in completed
        for row in latest_members(members_of, trial["trial_id"])
        if row.get("accuracy") is not None and row.get("macs")
    ]
    if not members:
        return {}
    members.sort(key=lambda m: (m["trial_id"], m["member"]))  # of equal ones export's choice
    on_it = [members[i] for i in accuracy_front([(m["accuracy"], m["macs"]) for m in members])]
    at_knee = on_it.pop(knee([(m["accuracy"], m["macs"]) for m in on_it]))
    order = dict.fromkeys(m["trial_id"] for m in (at_knee, *on_it))
    return {trial_id: place for place, trial_id in enumerate(order)}


def latest_of_runs(winners: Collection[str]) -> Rule:
    """What stays of final runs: the files of those that go on, and of a few completed ones.

    Args:
        winners: ids of the runs that keep theirs once they are completed.
    """

    def kept(rows: Sequence[Row], stored: Collection[str]) -> Mapping[str, Collection[str]]:
        return _both(
            row
            for row in rows
            if row["trial_id"] in stored
            and (
                row["status"] in GOES_ON
                or (row["status"] == "completed" and row["trial_id"] in winners)
            )
        )

    return kept


def _both(rows: Iterable[Row]) -> dict[str, Collection[str]]:
    return {row["trial_id"]: (LATEST, BEST) for row in rows}


class CheckpointRetention:
    """Deletes the checkpoints of a study that nobody needs any more.

    Args:
        storage: of the study.
        rule: says which stay.
    """

    def __init__(self, storage: Storage, rule: Rule) -> None:
        self._storage = storage
        self._rule = rule
        self._stored = set(storage.names(FOLDER))

    def refresh(self) -> None:
        """See what is really there: a worker that was stopped may have written once more."""
        self._stored = set(self._storage.names(FOLDER))

    def expect(self, trial_id: str) -> None:
        """A trial begins, and will write checkpoints."""
        self._stored.add(trial_id)

    def apply(self, rows: Iterable[Row]) -> None:
        """Delete what the study's trials, with these rows, need no more."""
        kept = self._rule(list(rows), self._stored)
        for trial_id in sorted(self._stored):
            files = kept.get(trial_id, ())
            if not files:
                self._storage.delete(f"{FOLDER}/{trial_id}")
                self._stored.discard(trial_id)
            elif BEST not in files and self._storage.exists(f"{FOLDER}/{trial_id}/{LATEST}"):
                # Of a trial of the version before the best checkpoint alone is there.
                self._storage.delete(f"{FOLDER}/{trial_id}/{BEST}")
