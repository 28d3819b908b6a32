"""The trainings and comparisons of a confirmation: planned once, kept in study.json, added to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.older import of_today
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.confirm.arms import Chosen, networks_to_time, plan_arms, plan_runs
from ffl_ray.confirm.request import Request
from ffl_ray.confirm.tables import (
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
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import PlanError, StudyError
from ffl_ray.orchestration.final_run import FinalRun
from ffl_ray.orchestration.final_runs import epoch_seconds
from ffl_ray.planning.layout import Plan
from ffl_ray.results.description import MOVES, check_same_settings
from ffl_ray.results.guard import is_plain_id, understood
from ffl_ray.results.study import StudyTables

KIND = "confirm"


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
                arms=[_arm_of_today(Arm(**arm)) for arm in description["arms"]],
                pairs=[Pair(**pair) for pair in description["pairs"]],
                runs=[Run(**run) for run in description["runs"]],
            )
            return cls._checked(found, location)
        except (KeyError, TypeError) as error:
            raise StudyError(f"{location}/study.json is damaged: {error}") from error

    @classmethod
    def _checked(cls, found: Confirmation, location: str) -> Confirmation:
        """The same, when its runs' ids are plain names, which become folders."""
        for run in found.runs:
            if not is_plain_id(run.run_id):
                raise StudyError(
                    f"{location}/study.json is damaged: {run.run_id!r} is no name of a run"
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

    def seconds(self, runs: Iterable[FinalRun]) -> float:
        """Seconds of some of its trainings one after the other, by the measured epochs."""
        epoch_s = {arm.name: arm.epoch_s or 0.0 for arm in self.arms}
        arm_of = {run.run_id: run.arm for run in self.runs}
        return sum(run.config.optim.epochs * epoch_s[arm_of[run.run_id]] for run in runs)


def _arm_of_today(arm: Arm) -> Arm:
    """An arm of a study.json, which has nothing downloaded: it may be somebody else's."""
    return arm._replace(settings=of_today(arm.settings) | {"data.download": False})


def following(request: Request, before: Confirmation) -> Request:
    """The request on top of what is there: trials once chosen stay chosen, and so do seeds.

    Raises:
        StudyError: settings differ, or fewer configs are asked for.
    """
    place = request.storage.location
    again = f"give the old settings, or move {place} away"
    check_same_settings(place, before.settings, request.settings, MOVES, otherwise=again)
    was, now = len(before.chosen), min(request.top, len(request.chosen))
    if now < was:
        raise StudyError(f"{place} has --top {was} and can't shrink to {now}: {again}")
    count = len(request.seeds)
    known = list(dict.fromkeys(before.seeds + [run.seed for run in before.runs]))
    seeds = known + [seed for seed in request.seeds if seed not in known]
    first = [one for one in request.chosen if one.trial_id in before.chosen]
    others = [one for one in request.chosen if one.trial_id not in before.chosen]
    return request._replace(seeds=seeds[:count], chosen=first + others)


def new_configs(request: Request, before: Confirmation | None) -> list[Chosen]:
    """The configs that are not among those chosen before."""
    known = set() if before is None else set(before.chosen)
    count = request.top - len(known)
    return [one for one in request.chosen if one.trial_id not in known][:count]


def plan_confirmation(
    request: Request, before: Confirmation | None, plan: Plan, facts: DataFacts
) -> Confirmation:
    """The trainings of a request; what was planned before stays as it was.

    Raises:
        PlanError: no machine was free to measure epochs on.
    """
    new = new_configs(request, before)
    chosen = [] if before is None else before.chosen
    arms, pairs, runs = ([], [], []) if before is None else before[-3:]
    moved = {name: request.settings[name] for name in MOVES & request.settings.keys()}
    arms = [arm._replace(settings={**arm.settings, **moved}) for arm in arms]
    if new:
        epoch_s = _epoch_seconds(networks_to_time(new, request.baselines), request, plan, facts)
        arms, more = plan_arms(new, request.baselines, epoch_s, arms)
        pairs = [*pairs, *more]
    return Confirmation(
        settings=request.settings,
        ranked_by=request.ranked_by,
        chosen=[*chosen, *(one.trial_id for one in new)],
        seeds=request.seeds,
        arms=arms,
        pairs=pairs,
        runs=plan_runs(arms, request.seeds, runs),
    )


def _epoch_seconds(
    timed: Sequence[ResolvedConfig], request: Request, plan: Plan, facts: DataFacts
) -> dict[ResolvedConfig, float]:
    seconds = epoch_seconds(timed, plan, facts, cluster=request.address is not None)
    if seconds is None:
        raise PlanError("no machine was free within a minute to measure epochs on: try again")
    return dict(zip(timed, seconds, strict=True))


def write_tables(confirmation: Confirmation, tables: StudyTables) -> dict[str, list[Row]]:
    """The rows of the tables runs, summary and comparisons, of the completed runs, and stored."""
    arms, runs = confirmation.arms, confirmation.asked
    with understood(tables.storage.location):
        measured = measured_arms(runs, tables.trials.rows, tables.member_rows())
        rows = {
            "runs": run_rows(runs, arms),
            "summary": summary_rows(arms, measured),
            "comparisons": comparison_rows(confirmation.pairs, arms, measured),
        }
        write_confirmed(tables.storage, rows)
    return rows
