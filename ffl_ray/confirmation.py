"""What a confirmation trains and compares: planned once, kept in its study.json, added to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ffl_ray.config import Config
from ffl_ray.errors import StudyError
from ffl_ray.final_runs import FinalRun
from ffl_ray.overrides import with_overrides
from ffl_ray.results.confirmed import (
    Arm,
    Pair,
    Row,
    Run,
    comparison_rows,
    measured_arms,
    run_rows,
    summary_rows,
    write_confirmed,
)
from ffl_ray.results.study import StudyTables

KIND = "confirm"


class Confirmation(NamedTuple):
    """What is to be trained and compared, as study.json keeps it.

    Attributes:
        settings: what may not change as long as it goes on.
        ranked_by: the search's objectives.
        chosen: ids of the confirmed trials, the best first.
        seeds: of every arm.
        arms: configs and baselines.
        pairs: what is compared.
        runs: what is trained.
    """

    settings: dict[str, Any]
    ranked_by: str
    chosen: list[str]
    seeds: list[int]
    arms: list[Arm]
    pairs: list[Pair]
    runs: list[Run]

    def dump(self) -> dict[str, Any]:
        """Plain values for study.json."""
        return {
            "ranked_by": self.ranked_by,
            "chosen": self.chosen,
            "seeds": self.seeds,
            "arms": [arm._asdict() for arm in self.arms],
            "pairs": [pair._asdict() for pair in self.pairs],
            "runs": [run._asdict() for run in self.runs],
        }

    @classmethod
    def load(cls, description: dict[str, Any], location: str) -> Confirmation:
        """What was dumped.

        Raises:
            StudyError: study.json is no confirmation, or lacks something.
        """
        try:
            if description["kind"] != KIND:
                raise StudyError(f"{location} holds a study of kind {description['kind']}")
            return cls(
                settings=description["settings"],
                ranked_by=description["ranked_by"],
                chosen=description["chosen"],
                seeds=description["seeds"],
                arms=[Arm(**arm) for arm in description["arms"]],
                pairs=[Pair(**pair) for pair in description["pairs"]],
                runs=[Run(**run) for run in description["runs"]],
            )
        except (KeyError, TypeError) as error:
            raise StudyError(f"{location}/study.json is damaged: {error}") from error

    @property
    def final_runs(self) -> list[FinalRun]:
        """The trainings, each with its seed in its config."""
        arms = {arm.name: arm for arm in self.arms}
        return [
            FinalRun(
                run.run_id,
                f"{run.arm}, seed {run.seed}",
                with_overrides(Config(), {**arms[run.arm].settings, "seed": run.seed}),
            )
            for run in self.runs
        ]

    @property
    def winners(self) -> set[str]:
        """Runs whose weights stay: every confirmed config's with the first seed."""
        configs = {arm.name for arm in self.arms if arm.trial_id is not None}
        return {run.run_id for run in self.runs if run.arm in configs and run.seed == self.seeds[0]}

    def seconds(self, runs: Iterable[FinalRun]) -> float:
        """How long some of its trainings take one after the other, by the measured epochs."""
        epoch_s = {arm.name: arm.epoch_s or 0.0 for arm in self.arms}
        arm_of = {run.run_id: run.arm for run in self.runs}
        return sum(run.config.optim.epochs * epoch_s[arm_of[run.run_id]] for run in runs)


def write_tables(confirmation: Confirmation, tables: StudyTables) -> dict[str, list[Row]]:
    """Store what the completed runs say as the tables runs, summary and comparisons; their rows."""
    arms, runs = confirmation.arms, confirmation.runs
    measured = measured_arms(runs, tables.trials.rows, tables.member_rows())
    rows = {
        "runs": run_rows(runs, arms),
        "summary": summary_rows(arms, measured),
        "comparisons": comparison_rows(confirmation.pairs, arms, measured),
    }
    write_confirmed(tables.storage, rows)
    return rows
