"""The trainings and comparisons of a confirmation: planned once, kept in study.json, added to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.older import of_today
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.confirm.arms import chosen_in, networks_to_time, plan_arms, plan_runs, primary_of
from ffl_ray.confirm.compared import MARGIN, comparison_rows
from ffl_ray.confirm.measured import Measured, measured_arms
from ffl_ray.confirm.opponents import Against, Kind
from ffl_ray.confirm.pairs import Arm, Chosen, Pair, Run
from ffl_ray.confirm.registered import Registered, check_unchanged, loaded, registered
from ffl_ray.confirm.request import Request
from ffl_ray.confirm.tables import Row, run_rows, summary_rows, write_confirmed
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import PlanError, StudyError
from ffl_ray.orchestration.final_run import FinalRun
from ffl_ray.orchestration.final_runs import epoch_seconds
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.same_macs import same_macs
from ffl_ray.results.description import MOVES, check_same_settings
from ffl_ray.results.guard import is_plain_id, understood
from ffl_ray.results.predictions import read_predictions
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

    def dump(self) -> dict[str, Any]:
        """Plain values for study.json."""
        return {
            "ranked_by": self.ranked_by,
            "chosen": self.chosen,
            "seeds": self.seeds,
            "arms": [arm._asdict() for arm in self.arms],
            "pairs": [pair._asdict() for pair in self.pairs],
            "runs": [run._asdict() for run in self.runs],
            "primary": self.primary and self.primary._asdict(),
            "top": self.top,
            "looks": self.looks,
            "registered": self.registered and self.registered._asdict(),
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
                arms=[_arm_of_today(Arm(**arm)) for arm in description["arms"]],
                pairs=[_pair(pair) for pair in description["pairs"]],
                runs=[Run(**run) for run in description["runs"]],
                top=int(description.get("top", 0)),
                looks=int(description.get("looks", 1)),
                registered=loaded(description, location),
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

    @property
    def race(self) -> bool:
        """Whether seeds are added until all is decided."""
        return self.looks > 1

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


def _pair(stored: dict[str, Any]) -> Pair:
    """A pair of a study.json; in one of the version before each is of one member."""
    return Pair(**{**stored, **{name: tuple(stored.get(name, ())) for name in MEANS}})


def _arm_of_today(arm: Arm) -> Arm:
    """An arm of a study.json, which has nothing downloaded: it may be somebody else's."""
    return arm._replace(settings=of_today(arm.settings) | {"data.download": False})


def following(request: Request, before: Confirmation, *, opened: bool = False) -> Request:
    """The request on top of what is there: trials once chosen stay chosen, and so do seeds.

    Args:
        opened: its test split was opened; a registered plan stays as it is then.

    Raises:
        StudyError: settings differ, or fewer configs are asked for, or a registered plan whose test
            split was opened is to change.
    """
    place = request.storage.location
    again = f"give the old settings, or move {place} away"
    settings = {"margin": MARGIN} | before.settings  # the version before knew no margin
    check_same_settings(place, settings, request.settings, MOVES, otherwise=again)
    if "margin" not in before.settings:
        kept = {name: value for name, value in request.settings.items() if name != "margin"}
        request = request._replace(settings=kept)
    ids = [one.trial_id for one in request.chosen] if request.named else before.chosen
    if opened and before.registered is not None:
        was = {"--trial": sorted(before.chosen), "--top": before.top, "--seeds": len(before.seeds)}
        now = {"--trial": sorted(ids), "--top": request.top, "--seeds": len(request.seeds)}
        check_unchanged(place, was, now, before.registered.hash)
        chosen = chosen_in(_moved(before.arms, request), before.chosen)
        return request._replace(seeds=before.seeds, chosen=chosen)
    left = min(request.top, len(request.chosen), len({*before.chosen} & {*ids}))
    if left < len(before.chosen):
        had = f"{len(before.chosen)} and can't shrink to {left}: {', '.join(before.chosen)} stay"
        raise StudyError(f"{place} has --top {had}; {again}")
    count = len(request.seeds)
    known = list(dict.fromkeys(before.seeds + [run.seed for run in before.runs]))
    seeds = known + [seed for seed in request.seeds if seed not in known]
    first = [one for one in request.chosen if one.trial_id in before.chosen]
    others = [one for one in request.chosen if one.trial_id not in before.chosen]
    return request._replace(seeds=seeds[:count], chosen=first + others)


def _moved(arms: Sequence[Arm], request: Request) -> list[Arm]:
    """The arms with their data where the request has them."""
    now = {name: request.settings[name] for name in MOVES & request.settings.keys()}
    return [arm._replace(settings={**arm.settings, **now}) for arm in arms]


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
    arms, pairs, runs = ([], [], []) if before is None else (before.arms, before.pairs, before.runs)
    arms = _moved(arms, request)
    if new:
        against = _against(new, request.kinds, facts)
        timed = networks_to_time(new, request.baselines, against)
        epoch_s = _epoch_seconds(timed, request, plan, facts)
        arms, more = plan_arms(new, request.baselines, epoch_s, arms, against)
        pairs = [*pairs, *more]
    return Confirmation(
        settings=request.settings,
        ranked_by=request.ranked_by,
        chosen=[*chosen, *(one.trial_id for one in new)],
        seeds=request.seeds,
        arms=arms,
        pairs=pairs,
        runs=plan_runs(arms, request.seeds, runs),
        top=request.top,
        looks=request.looks,
        registered=None if before is None else before.registered,
    )


def _against(new: Sequence[Chosen], kinds: Sequence[Kind], facts: DataFacts) -> Against:
    """What the configs are held against, with networks of equal MACs where they are wanted."""
    if "same_macs" not in kinds:
        return Against(kinds)
    return Against(kinds, {one.config: same_macs(one.config, facts.num_classes) for one in new})


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
        measured = measured_runs(tables, runs)
        rows = {
            "runs": run_rows(runs, arms),
            "summary": summary_rows(arms, measured),
            "comparisons": compared_rows(confirmation, measured),
        }
        write_confirmed(tables.storage, rows)
    return rows


def measured_runs(tables: StudyTables, runs: Sequence[Run]) -> dict[str, Measured]:
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
        race=confirmation.race,
    )
