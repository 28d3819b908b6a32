"""The plan of a confirmation: its arms, comparisons and trainings, new ones behind the old."""

from __future__ import annotations

from collections.abc import Sequence

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.confirm.arms import chosen_in, networks_to_time, plan_arms, plan_runs
from ffl_ray.confirm.compared import MARGIN
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.opponents import Against
from ffl_ray.confirm.pairs import Arm, Chosen, Pair
from ffl_ray.confirm.registered import check_unchanged
from ffl_ray.confirm.request import Request, as_options
from ffl_ray.confirm.tuned import baseline_searches, with_tuned
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import PlanError, SettingError, StudyError
from ffl_ray.orchestration.final_runs import epoch_seconds
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.same_macs import same_macs
from ffl_ray.results.description import MOVES, check_same_settings


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
    check_same_settings(
        place, as_options(settings), as_options(request.settings), MOVES, otherwise=again
    )
    if "margin" not in before.settings:
        kept = {name: value for name, value in request.settings.items() if name != "margin"}
        request = request._replace(settings=kept)
    ids = [one.trial_id for one in request.chosen] if request.named else before.chosen
    if opened and before.registered is not None:
        counted = "--max-seeds" if request.looks > 1 else "--seeds"
        was = {"--trial": sorted(before.chosen), "--top": before.top, counted: len(before.seeds)}
        now = {"--trial": sorted(ids), "--top": request.top, counted: len(request.seeds)}
        check_unchanged(place, was, now, before.registered.hash)
        chosen = chosen_in(_moved(before.arms, request), before.chosen)
        request = request._replace(search_trials=before.search_trials, search_s=before.search_s)
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
        SettingError: baselines are asked for, and no config has one.
    """
    new = new_configs(request, before)
    chosen = [] if before is None else before.chosen
    arms, pairs, runs = ([], [], []) if before is None else (before.arms, before.pairs, before.runs)
    arms = _moved(arms, request)
    if new:
        against = _against(new, request, facts)
        timed = networks_to_time(new, request.baselines, against)
        epoch_s = _epoch_seconds(timed, request, plan, facts)
        arms, more = plan_arms(new, request.baselines, epoch_s, arms, against)
        pairs = [*pairs, *more]
        _check_compares(new, pairs, request)
    confirmation = Confirmation(
        settings=request.settings,
        ranked_by=request.ranked_by,
        chosen=[*chosen, *(one.trial_id for one in new)],
        seeds=request.seeds,
        arms=arms,
        pairs=pairs,
        runs=runs,
        top=request.top,
        looks=request.looks,
        registered=None if before is None or new else before.registered,
        search_trials=request.search_trials,
        search_s=request.search_s,
        merged=() if before is None else before.merged,
    )
    return with_runs(confirmation, request, facts.num_classes)


def _check_compares(new: Sequence[Chosen], pairs: Sequence[Pair], request: Request) -> None:
    """Check that there is a comparison to open the test split for."""
    if not pairs and request.baselines != "none":
        raise SettingError(
            f"--arms must have something to hold {', '.join(one.trial_id for one in new)} against, "
            f"and {' '.join(request.kinds)} have not: nobody teaches there. Confirm others beside "
            f"them with --top or --trial, or open the test split without any verdict with "
            f"--baselines none"
        )


def with_runs(confirmation: Confirmation, request: Request, num_classes: int) -> Confirmation:
    """The same with the trainings of all arms but those that are searched for first."""
    waiting = baseline_searches(confirmation, request, num_classes)
    ready = [arm for arm in confirmation.arms if request.dry_run or arm.name not in waiting]
    return confirmation._replace(runs=plan_runs(ready, confirmation.seeds, confirmation.runs))


def with_tuned_baselines(
    confirmation: Confirmation, request: Request, plan: Plan, facts: DataFacts
) -> Confirmation:
    """The same with what the searches of its baselines found, which have ended.

    A baseline whose step takes another time than the inherited one is timed again, so that equal
    seconds stay equal.
    """
    searches = baseline_searches(confirmation, request, facts.num_classes)

    def timed(configs: Sequence[ResolvedConfig]) -> dict[ResolvedConfig, float]:
        return _epoch_seconds(configs, request, plan, facts)

    tuned = with_tuned(confirmation, request, searches, timed) if searches else confirmation
    return with_runs(tuned, request, facts.num_classes)


def _against(new: Sequence[Chosen], request: Request, facts: DataFacts) -> Against:
    """What the configs are held against, with networks of equal MACs where they are wanted."""
    macs = {}
    if "same_macs" in request.kinds:
        macs = {one.config: same_macs(one.config, facts.num_classes) for one in new}
    return Against(request.kinds, macs, request.default)


def _epoch_seconds(
    timed: Sequence[ResolvedConfig], request: Request, plan: Plan, facts: DataFacts
) -> dict[ResolvedConfig, float]:
    seconds = epoch_seconds(timed, plan, facts, cluster=request.address is not None)
    if seconds is None:
        raise PlanError("no machine was free within a minute to measure epochs on: try again")
    return dict(zip(timed, seconds, strict=True))
