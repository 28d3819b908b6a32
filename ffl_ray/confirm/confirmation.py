"""The trainings and comparisons of a confirmation: planned once, kept in study.json, added to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.older import of_today
from ffl_ray.confirm.arms import primary_of
from ffl_ray.confirm.compared import MARGIN, comparison_rows
from ffl_ray.confirm.measured import Measured, measured_arms
from ffl_ray.confirm.pairs import Arm, Pair, Run
from ffl_ray.confirm.registered import Registered, loaded, registered
from ffl_ray.confirm.tables import Row, run_rows, summary_rows, write_confirmed
from ffl_ray.errors import StudyError
from ffl_ray.orchestration.final_run import FinalRun
from ffl_ray.results.guard import is_plain_id, understood
from ffl_ray.results.looks import FIRST_LOOK, Looked, check_looks, looked_at
from ffl_ray.results.predictions import read_predictions
from ffl_ray.results.rows import StudyRows
from ffl_ray.results.study import StudyTables

KIND = "confirm"
MEANS = ("of", "baseline_of")


class Confirmation(NamedTuple):
    """The trainings and comparisons of a confirmation, as study.json keeps them.

    Attributes:
        settings: what may not change as long as it goes on.
        ranked_by: the search's objectives.
        chosen: ids of the confirmed trials, the best first.
        seeds: of every arm; runs of others, planned when there were more, wait for these again.
        arms: configs and baselines.
        pairs: what is compared.
        runs: what is trained.
        top: how many configs were asked for; 0: by the version before, which kept it nowhere.
        looks: how often its verdicts are looked at before the last one counts.
        registered: the plan as it was written before the test split opened; none: not yet, or by
            the version before.
        search_trials: ended trials of the search, when it was planned; 0: by the version before.
        search_s: accelerator-seconds of all its trials.
        merged: of baselines whose own search found the config itself, in words.
    """

    settings: dict[str, Any]
    ranked_by: str
    chosen: list[str]
    seeds: list[int]
    arms: list[Arm]
    pairs: list[Pair]
    runs: list[Run]
    top: int = 0
    looks: int = 1
    registered: Registered | None = None
    search_trials: int = 0
    search_s: float = 0.0
    merged: Sequence[str] = ()

    def dump(self) -> dict[str, Any]:
        """Plain values for study.json."""
        return {
            "ranked_by": self.ranked_by,
            "chosen": self.chosen,
            "seeds": self.seeds,
            "arms": [arm.dump() for arm in self.arms],
            "pairs": [pair._asdict() for pair in self.pairs],
            "runs": [run._asdict() for run in self.runs],
            "primary": self.primary and self.primary._asdict(),
            "top": self.top,
            "looks": self.looks,
            "registered": self.registered and self.registered._asdict(),
            "search_trials": self.search_trials,
            "search_s": self.search_s,
            "merged": [*self.merged],
        }

    def as_registered(self) -> Confirmation:
        """The same, with its plan registered now."""
        return self._replace(registered=registered({"settings": self.settings, **self.dump()}))

    @classmethod
    def load(cls, description: dict[str, Any], location: str) -> Confirmation:
        """The confirmation that was dumped.

        Raises:
            StudyError: study.json is no confirmation, or lacks something.
        """
        try:
            if description["kind"] != KIND:
                raise StudyError(f"{location} holds a study of kind {description['kind']}")
            found = cls(
                settings=description["settings"],
                ranked_by=description["ranked_by"],
                chosen=description["chosen"],
                seeds=description["seeds"],
                arms=[_arm_of_today(Arm.load(arm)) for arm in description["arms"]],
                pairs=[_pair(pair) for pair in description["pairs"]],
                runs=[Run(**run) for run in description["runs"]],
                top=_count(description, "top"),
                looks=check_looks(description.get("looks", 1)),
                registered=loaded(description, location),
                search_trials=_count(description, "search_trials"),
                search_s=float(description.get("search_s", 0.0)),
                merged=[str(said) for said in description.get("merged", ())],
            )
            return cls._checked(found, location)
        except (KeyError, TypeError, ValueError) as error:
            raise StudyError(f"{location}/study.json is damaged: {error}") from error

    @classmethod
    def _checked(cls, found: Confirmation, location: str) -> Confirmation:
        """The same, when its runs' ids are plain names, which become folders, and its looks fit."""
        for run in found.runs:
            if not is_plain_id(run.run_id):
                raise StudyError(
                    f"{location}/study.json is damaged: {run.run_id!r} is no name of a run"
                )
        if found.race and found.looked.first < FIRST_LOOK:
            raise StudyError(
                f"{location}/study.json is damaged: looks must leave the first one {FIRST_LOOK} "
                f"seeds, not {found.looked.first}"
            )
        return found

    @property
    def asked(self) -> list[Run]:
        """The runs of its seeds."""
        return [run for run in self.runs if run.seed in self.seeds]

    @property
    def final_runs(self) -> list[FinalRun]:
        """The trainings that are asked for, each with its seed in its config."""
        arms = {arm.name: arm for arm in self.arms}
        return [
            FinalRun(
                run.run_id,
                f"{run.arm}, seed {run.seed}",
                resolved_from({**arms[run.arm].settings, "seed": run.seed}),
            )
            for run in self.asked
        ]

    @property
    def winners(self) -> set[str]:
        """Runs whose weights stay: every config's and baseline's with the first seed."""
        return {run.run_id for run in self.runs if run.seed == self.seeds[0]}

    @property
    def race(self) -> bool:
        """Whether seeds are added until all is decided."""
        return self.looks > 1

    @property
    def looked(self) -> Looked:
        """How often its verdicts are looked at, and from which seed on."""
        return looked_at(self.looks, len(self.seeds))

    @property
    def primary(self) -> Pair | None:
        """The comparison that it is made for."""
        first = next((arm for arm in self.arms if arm.trial_id in self.chosen[:1]), None)
        return None if first is None else primary_of(self.pairs, first)

    @property
    def margin(self) -> float:
        """Differences of accuracy below it do not matter, a fraction."""
        return float(self.settings.get("margin", MARGIN)) / 100

    def seconds(self, runs: Iterable[FinalRun]) -> float:
        """Seconds of some of its trainings one after the other, by the measured epochs."""
        epoch_s = {arm.name: arm.epoch_s or 0.0 for arm in self.arms}
        arm_of = {run.run_id: run.arm for run in self.runs}
        return sum(run.config.optim.epochs * epoch_s[arm_of[run.run_id]] for run in runs)


def _count(description: Mapping[str, Any], name: str) -> int:
    """A number of a study.json; in one of the version before it is 0.

    Raises:
        ValueError: it is none, or below 0.
    """
    found = description.get(name, 0)
    if type(found) is not int or found < 0:
        raise ValueError(f"{name} must be a number from 0 on, not {str(found)[:80]}")
    return found


def _pair(stored: dict[str, Any]) -> Pair:
    """A pair of a study.json; in one of the version before each is of one member."""
    return Pair(**{**stored, **{name: tuple(stored.get(name, ())) for name in MEANS}})


def _arm_of_today(arm: Arm) -> Arm:
    """An arm of a study.json, which has nothing downloaded: it may be somebody else's."""
    return arm._replace(settings=of_today(arm.settings) | {"data.download": False})


def write_tables(confirmation: Confirmation, tables: StudyTables) -> dict[str, list[Row]]:
    """The rows of the tables runs, summary and comparisons, of the completed runs, and stored."""
    arms, runs = confirmation.arms, confirmation.asked
    with understood(tables.storage.location):
        measured = measured_runs(tables, runs)
        rows = {
            "runs": run_rows(runs, arms, tables.trials.rows),
            "summary": summary_rows(arms, measured, confirmation.looked),
            "comparisons": compared_rows(confirmation, measured),
        }
        write_confirmed(tables.storage, rows)
    return rows


def measured_runs(tables: StudyRows, runs: Sequence[Run]) -> dict[str, Measured]:
    """What the completed ones of these runs measured, by arm."""
    predictions = partial(read_predictions, tables.storage)
    return measured_arms(runs, tables.trials.rows, tables.member_rows(), predictions)


def compared_rows(confirmation: Confirmation, measured: Mapping[str, Measured]) -> list[Row]:
    """The rows of the comparisons table."""
    return comparison_rows(
        confirmation.pairs,
        confirmation.arms,
        measured,
        confirmation.margin,
        confirmation.primary,
        looked=confirmation.looked,
        planned=len(confirmation.seeds),
        search_trials=confirmation.search_trials,
    )
