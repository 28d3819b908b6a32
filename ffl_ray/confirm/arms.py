"""The trainings that confirm a search: its best configs, their baselines, new seeds for all.

A baseline is the method `independent`: the same data, optimiser and schedule, nobody taught.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ffl_ray.config.methods import method_of, resolved, resolved_from
from ffl_ray.config.objectives import Objective
from ffl_ray.config.overrides import flatten, mix_name, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.confirm.tables import Arm, Pair, Run
from ffl_ray.orchestration.retention import ranked
from ffl_ray.results.schema import row_config

Row = Mapping[str, Any]
Baselines = Literal["both", "epochs", "seconds", "none"]
FIRST_SEED = 1000
IRRELEVANT = ("fusion.", "distill.", "model.trunk_stages", "optim.fusion_weight_decay", "objective")


class Chosen(NamedTuple):
    """A config that the search found, and the trial that it was."""

    trial_id: str
    config: ResolvedConfig


class Plans(NamedTuple):
    """The arms that are to be trained, and the pairs that are to be compared."""

    arms: list[Arm]
    pairs: list[Pair]


def new_seeds(used: Collection[int], count: int) -> list[int]:
    """The first integers from 1000 on that the search did not use; more seeds begin with these."""
    seeds: list[int] = []
    candidate = FIRST_SEED
    while len(seeds) < count:
        if candidate not in used:
            seeds.append(candidate)
        candidate += 1
    return seeds


def best_configs(
    rows: Iterable[dict[str, Any]], objectives: Sequence[Objective], count: int
) -> list[Chosen]:
    """The distinct configs of the best completed trials, the best first; seeds do not count."""
    chosen: dict[ResolvedConfig, Chosen] = {}
    for row in ranked(rows, objectives):
        config = confirmed_form(resolved(row_config(row)))
        chosen.setdefault(config, Chosen(row["trial_id"], config))
    return list(chosen.values())[:count]


def confirmed_form(config: ResolvedConfig) -> ResolvedConfig:
    """The config as it is trained, its seed aside; of `independent` only what has an effect."""
    if config.distill.method == "independent":
        form = independent(config, config.model.mix, config.model.trunk_stages)
        kept = {name: getattr(config.distill, name) for name in ("views", "own_batches")}
        return with_overrides(form, {f"distill.{name}": value for name, value in kept.items()})
    return with_overrides(config, {"seed": 0})


def independent(
    config: ResolvedConfig, mix: tuple[str, ...], trunk_stages: int = 0
) -> ResolvedConfig:
    """The same training without any teaching, of this mix; equal wherever nothing differs."""
    defaults = {
        name: value for name, value in flatten(Config()).items() if name.startswith(IRRELEVANT)
    }
    kept = {"distill.label_smoothing": config.distill.label_smoothing}
    changes = {
        "model.mix": mix,
        "model.trunk_stages": trunk_stages,
        "distill.method": "independent",
        "objective": "ensemble.accuracy",
        "seed": 0,
    }
    return resolved_from(flatten(config) | defaults | kept | changes)


def stretched(config: ResolvedConfig, epochs: int) -> ResolvedConfig:
    """The same training over another number of epochs: what is a share of it follows."""
    return with_overrides(config, {"optim.epochs": epochs})


def networks_to_time(chosen: Sequence[Chosen], baselines: Baselines) -> list[ResolvedConfig]:
    """One config of each kind of step that the confirmation trains, the chosen ones first."""
    found = dict.fromkeys(one.config for one in chosen)
    if baselines != "none":
        for one in chosen:
            found |= dict.fromkeys(_baselines(one.config).values())
    return list(found)


def plan_arms(
    chosen: Sequence[Chosen],
    baselines: Baselines,
    epoch_s: Mapping[ResolvedConfig, float],
    known: Sequence[Arm] = (),
) -> Plans:
    """The arms and their comparisons; a baseline that two configs share is one arm.

    Branches are held against their backbone alone, ensemble and fused against the ensemble of
    the same mix trained independently. With equal epochs a branch costs at inference what its
    backbone does. With equal seconds the baseline's epochs are epochs * s / s', s and s' being
    seconds of an epoch on either side, rounded, and one at least.

    Args:
        epoch_s: of `networks_to_time`; may be empty when no baseline has equal seconds.
        known: arms of an earlier plan; they keep their names.
    """
    arms: dict[ResolvedConfig, Arm] = {_config_of(arm): arm for arm in known}
    for one in chosen:
        _add(arms, one.config, one.trial_id, one.trial_id, epoch_s.get(one.config))
    pairs: dict[Pair, None] = {}
    for one in chosen:
        for member, (baseline_member, alone) in _opponents(one.config).items():
            for equal in ("epochs", "seconds"):
                if baselines not in ("both", equal):
                    continue
                seconds = epoch_s.get(alone)
                config = alone
                if equal == "seconds":
                    share = epoch_s[one.config] / epoch_s[alone]
                    config = stretched(alone, max(1, round(alone.optim.epochs * share)))
                arm = _add(arms, config, None, _baseline_name(config), seconds)
                mine = arms[one.config].name
                if arm.name != mine:
                    pairs[Pair(mine, member, equal, arm.name, baseline_member)] = None
    return Plans(list(arms.values()), list(pairs))


def _config_of(arm: Arm) -> ResolvedConfig:
    return resolved_from(arm.settings)


def _opponents(config: ResolvedConfig) -> dict[str, tuple[str, ResolvedConfig]]:
    """By member of a config: the baseline's member, and the baseline."""
    mix = config.model.mix
    found = {f"branch{i}": ("branch0", independent(config, (name,))) for i, name in enumerate(mix)}
    if method_of(config.distill).mean_teacher:
        found |= {name.replace("branch", "mean_teacher"): one for name, one in found.items()}
    if method_of(config.distill).student_average:
        found["averaged"] = found["branch0"]
    together = independent(config, mix)
    fused = ["fused"] if method_of(config.distill).head is not None else []
    if len(mix) > 1:
        found |= dict.fromkeys(("ensemble", *fused), ("ensemble", together))
    return found


def _baselines(config: ResolvedConfig) -> dict[str, ResolvedConfig]:
    return {member: baseline for member, (_, baseline) in _opponents(config).items()}


def _baseline_name(config: ResolvedConfig) -> str:
    return f"independent {mix_name(config.model.mix)}, {config.optim.epochs} epochs"


def _add(
    arms: dict[ResolvedConfig, Arm],
    config: ResolvedConfig,
    trial_id: str | None,
    name: str,
    epoch_s: float | None,
) -> Arm:
    """The arm of a config, made unless there is one; a second of the same name is numbered."""
    if config not in arms:
        taken = {arm.name for arm in arms.values()}
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name} (no. {number})", number + 1
        arms[config] = Arm(unique, trial_id, flatten(config), epoch_s)
    elif trial_id is not None and arms[config].trial_id is None:
        arms[config] = arms[config]._replace(trial_id=trial_id)
    return arms[config]


def plan_runs(arms: Sequence[Arm], seeds: Sequence[int], known: Sequence[Run] = ()) -> list[Run]:
    """Every arm with every seed, seed by seed, so that an early end leaves whole comparisons.

    Args:
        known: runs of an earlier plan; they stay what they are, and new ones come behind.
    """
    runs = list(known)
    there = {(run.arm, run.seed) for run in runs}
    for seed in seeds:
        for arm in arms:
            if (arm.name, seed) not in there:
                runs.append(Run(f"{len(runs):05d}", arm.name, seed))
    return runs
