"""The plan of a confirmation as a person reads it, before the test split opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ffl_ray.config.overrides import mix_name
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.pairs import Arm
from ffl_ray.confirm.tuned import BaselineSearch
from ffl_ray.console.terminal import hours
from ffl_ray.orchestration.final_run import FinalRun
from ffl_ray.planning.layout import Plan


def plan_words(confirmation: Confirmation, waiting: Sequence[FinalRun], plan: Plan) -> str:
    """The number of trainings, and how long those that wait will take."""
    seeds = len(confirmation.seeds)
    configs = [_config_words(arm) for arm in confirmation.arms if arm.trial_id is not None]
    baselines = [arm.name for arm in confirmation.arms if arm.trial_id is None]
    most = "at most " * confirmation.race
    time = hours(confirmation.seconds(waiting) / plan.max_concurrent_trials)
    named = "\n".join(f"      {name}" for name in (*configs, *baselines))
    return (
        f"plan  {len(configs)} config{'s' * (len(configs) != 1)} and {len(baselines)} "
        f"baseline{'s' * (len(baselines) != 1)}, {most}{seeds} seed{'s' * (seeds != 1)} of each: "
        f"{len(confirmation.asked)} trainings, {len(waiting)} of them to be run, "
        f"{plan.max_concurrent_trials} at once\n"
        f"      {most or 'about '}{time}\n{named}"
    )


def _config_words(arm: Arm) -> str:
    """A config by its trial, with what it is."""
    mix, method = mix_name(tuple(arm.settings["model.mix"])), arm.settings["distill.method"]
    return f"{arm.trial_id}: {mix} {method}, {arm.settings['optim.epochs']} epochs"


def tuning_words(searches: Mapping[str, BaselineSearch], trials: int, plan: Plan) -> str:
    """What is searched for first, and how long that takes at most; nothing: nothing is."""
    distinct = {one.folder: one.arm for one in searches.values()}
    if not distinct:
        return ""
    seconds = sum(
        trials * arm.settings["optim.epochs"] * (arm.epoch_s or 0.0) for arm in distinct.values()
    )
    return (
        f"first {len(distinct)} search{'es' * (len(distinct) != 1)} for baselines, {trials} trials "
        f"each: at most {hours(seconds / plan.max_concurrent_trials)}, less where trials are "
        f"stopped early"
    )
