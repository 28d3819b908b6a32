"""The trainings that confirm a search: its best configs, their baselines, new seeds for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.roles import roles_in
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.confirm.opponents import DEFAULT, Against, Kind, Opponent, opponents
from ffl_ray.confirm.pairs import Arm, Chosen, Equal, Pair, Run

Baselines = Literal["both", "epochs", "seconds", "seconds_alone", "none"]
FIRST_SEED = 1000
EQUAL: tuple[Equal, ...] = ("epochs", "seconds")


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


def stretched(config: ResolvedConfig, epochs: int) -> ResolvedConfig:
    """The same training over another number of epochs: what is a share of it follows."""
    return with_overrides(config, {"optim.epochs": epochs})


def networks_to_time(
    chosen: Sequence[Chosen], baselines: Baselines, against: Against = DEFAULT
) -> list[ResolvedConfig]:
    """One config of each kind of step that the confirmation trains, the chosen ones first."""
    found = dict.fromkeys(one.config for one in chosen)
    if baselines != "none":
        for one in chosen:
            found |= dict.fromkeys(other.baseline for other in opponents(one.config, against))
    return list(found)


def plan_arms(
    chosen: Sequence[Chosen],
    baselines: Baselines,
    epoch_s: Mapping[ResolvedConfig, float],
    known: Sequence[Arm] = (),
    against: Against = DEFAULT,
) -> Plans:
    """The arms and their comparisons; a baseline that two configs share is one arm.

    With equal epochs a branch costs at inference what its backbone alone does. With equal seconds
    the baseline's epochs are epochs * s / s', s and s' being seconds of an epoch on either side,
    rounded, and one at least.

    Args:
        epoch_s: of `networks_to_time`; may be empty when no baseline has equal seconds.
        known: arms of an earlier plan; they keep their names.
        against: what the configs are held against.
    """
    arms: dict[ResolvedConfig, Arm] = {config_of(arm): arm for arm in known}
    for one in chosen:
        _add(arms, one.config, one.trial_id, one.trial_id, epoch_s.get(one.config))
    pairs: dict[Pair, None] = {}
    for one in chosen:
        for other in opponents(one.config, against):
            alone = other.baseline
            for equal in EQUAL:
                if not _asked(baselines, other.kind, equal):
                    continue
                seconds = epoch_s.get(alone)
                config = alone
                if equal == "seconds":
                    share = epoch_s[one.config] / epoch_s[alone]
                    config = stretched(alone, max(1, round(alone.optim.epochs * share)))
                name = f"{other.name}, {config.optim.epochs} epochs"
                arm = _add(arms, config, None, name, seconds)
                mine = arms[one.config].name
                if arm.name != mine:
                    pairs[_pair(mine, other, equal, arm.name)] = None
    return Plans(list(arms.values()), list(pairs))


def _asked(baselines: Baselines, kind: Kind, equal: Equal) -> bool:
    if baselines == "seconds_alone":
        return equal == "epochs" or kind == "alone"
    return baselines in ("both", equal)


def _pair(mine: str, other: Opponent, equal: Equal, baseline: str) -> Pair:
    means = (other.of, other.baseline_of)
    return Pair(mine, other.member, equal, baseline, other.baseline_member, *means, other.kind)


def primary_of(pairs: Sequence[Pair], config: Arm) -> Pair | None:
    """The comparison that a confirmation is made for: the deployed members of its first config.

    With equal seconds where there is such a pair, and against the first of the arms asked for.

    Args:
        config: the arm of the first config.
    """
    members = {member for pair in pairs if pair.arm == config.name for member in pair.members}
    roles = roles_in(config_of(config), members)
    found = [
        pair
        for pair in pairs
        if pair.arm == config.name and all(roles[member] == "deployed" for member in pair.members)
    ]
    return next((pair for pair in found if pair.equal == "seconds"), found[0] if found else None)


def chosen_in(arms: Sequence[Arm], trial_ids: Sequence[str]) -> list[Chosen]:
    """The configs of these trials as a plan has them, whatever the search says of them now."""
    of_trial = {arm.trial_id: arm for arm in arms}
    return [Chosen(one, config_of(of_trial[one])) for one in trial_ids if one in of_trial]


def config_of(arm: Arm) -> ResolvedConfig:
    """The config that an arm trains."""
    return resolved_from(arm.settings)


def _add(
    arms: dict[ResolvedConfig, Arm],
    config: ResolvedConfig,
    trial_id: str | None,
    name: str,
    epoch_s: float | None,
) -> Arm:
    """The arm of a config, made unless there is one."""
    if config not in arms:
        unique = unique_name(name, {arm.name for arm in arms.values()})
        arms[config] = Arm(unique, trial_id, flatten(config), epoch_s)
    elif trial_id is not None and arms[config].trial_id is None:
        arms[config] = arms[config]._replace(trial_id=trial_id)
    return arms[config]


def unique_name(name: str, taken: Collection[str]) -> str:
    """The name, with a number where another has it."""
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name} (no. {number})", number + 1
    return unique


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
